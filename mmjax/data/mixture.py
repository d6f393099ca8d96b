"""Several sources in fixed proportions."""

import bisect
import dataclasses
import itertools
import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

from mmjax.data.bad_records import name_of
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Draws from each source in proportion to its weight.

    The pipeline interleaves the sources evenly, shuffles and repeats each by itself, and replaces
    a bad record by one of the same source. By index the records are those of the first source,
    then those of the second, and so on, in alphabetical order of the names.

    Attributes:
      sources: by name.
      weights: by the same names; only their ratios count.
    """

    sources: Mapping[str, Any]
    weights: Mapping[str, float | int]

    def __post_init__(self):
        if not self.sources or set(self.sources) != set(self.weights):
            raise UserError(
                f"a mixture needs one weight per source: sources {sorted(self.sources)}, "
                f"weights {sorted(self.weights)}"
            )
        for name, weight in self.weights.items():
            if not 0 < weight < float("inf"):
                raise UserError(f"weights.{name} must be positive, got {weight!r}")

    @property
    def parts(self) -> list[tuple[Any, float | int]]:
        """The sources with their weights."""
        return [(self.sources[name], self.weights[name]) for name in sorted(self.sources)]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        source, index = self._locate(operator.index(index))
        return source[index]

    def name_of(self, index: int) -> str:
        """A record's name within its source."""
        return name_of(*self._locate(index))

    @property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(len(source) for source, _ in self.parts))

    def _locate(self, index: int) -> tuple[Any, int]:
        ends = self._ends
        if not 0 <= index < ends[-1]:
            raise IndexError(f"record {index} of {ends[-1]}")
        which = bisect.bisect_right(ends, index)
        return self.parts[which][0], index - (ends[which - 1] if which else 0)
