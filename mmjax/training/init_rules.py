"""Which parameters a run takes from other weights, under which names, and which it makes anew."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mmjax import tree
from mmjax.errors import UserError

_SHOWN = 8  # paths that a message lists


class Assignment(NamedTuple):
    """What becomes of every path: ``taken`` is {path here: path there}."""

    taken: dict[str, str]
    fresh: list[str]
    unused: list[str]


@dataclasses.dataclass(frozen=True)
class Init:
    """The section ``init``: other weights that a run begins with, such as for fine-tuning.

    Parameters and collections are taken; the optimiser, moving averages, the objective's state and
    the counters begin anew. Every path here must be there, and every path there be used, unless
    the config says otherwise. A run that goes on from a checkpoint of its own takes nothing.

    Attributes:
      folder: a run's workdir, whose newest good checkpoint counts (with its moving averages, where
        it has them), a weights folder, or an imported module, whose paths then begin with
        ``module/``.
      paths: ``{path here: path there}`` of what has another name there, each a whole path
        (``network/...``) or its beginning; the longest counts.
      fresh: regular expression of the paths here that are initialised as in a run of its own.
      unused: regular expression of the paths there that are left behind.
    """

    folder: str
    paths: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fresh: str = ""
    unused: str = ""

    def __post_init__(self):
        tree.check_pattern("fresh", self.fresh)
        tree.check_pattern("unused", self.unused)

    def assign(self, here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Assignment:
        """Which path takes what.

        Args:
          here: the arrays of the run, by path, or their shapes and dtypes.
          there: those of the weights.
          name: of the weights, for messages.

        Raises:
          UserError: a path is missing, would be left behind, or has another shape or dtype.
        """
        fresh = tree.select(here, self.fresh)
        sources = {path: tree.renamed(path, self.paths) for path in here}
        taken = {path: source for path, source in sources.items() if path not in fresh}
        if missing := [path for path, source in taken.items() if source not in there]:
            raise UserError(
                f"config.init: {name} lacks {_listed(missing)}; say in config.init.paths what they "
                "are called there, or let config.init.fresh match those to initialise anew"
            )
        used = {*taken.values(), *(sources[path] for path in fresh)}
        left = {path: leaf for path, leaf in there.items() if path not in used}
        unused = tree.select(left, self.unused)
        if extra := [path for path in left if path not in unused]:
            raise UserError(
                f"config.init: {name} also holds {_listed(extra)}, which this config has not; "
                "rename them in config.init.paths, or let config.init.unused match them"
            )
        for path, source in taken.items():
            if (own := _described(here[path])) != (other := _described(there[source])):
                raise UserError(f"config.init: {path} is {own} here, and {source} is {other} there")
        self._check_rules(taken, fresh, unused)
        return Assignment(taken, list(fresh), list(unused))

    def _check_rules(self, taken: Mapping, fresh: Mapping, unused: Mapping) -> None:
        """A rule that does nothing is a mistake."""
        for target in self.paths:
            if not any(tree.within(path, target) for path in taken):
                raise UserError(f"config.init.paths: nothing here is taken for {target!r}")
        for field, found in (("fresh", fresh), ("unused", unused)):
            if (pattern := getattr(self, field)) and not found:
                raise UserError(f"config.init.{field}: {pattern!r} matches no whole path")


def _described(leaf: Any) -> str:
    return f"{leaf.dtype} {list(leaf.shape)}"


def _listed(paths: Iterable[str]) -> str:
    """The paths, or the first few with the number of the others."""
    paths = list(paths)
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
