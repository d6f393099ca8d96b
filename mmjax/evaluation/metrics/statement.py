"""What a caption says: which digits, and how often they bounce or hit which wall."""

import dataclasses
import re

from mmjax.evaluation.metrics.paths import CEILING, FLOOR, LEFT, RIGHT

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NUMBERS = {name: value for value, name in enumerate(_NAMES)}
_ADVERBS = {"once": 1, "twice": 2}
_WALLS = {"floor": FLOOR, "ground": FLOOR, "ceiling": CEILING, "left": LEFT, "right": RIGHT}


@dataclasses.dataclass(frozen=True)
class Statement:
    """The content of a caption.

    Attributes:
      digits: the digits named, in order.
      count: how many bounces there are in all, None where it is not said.
      wall: the wall whose hits are counted, None for all walls.
    """

    digits: tuple[int, ...]
    count: int | None
    wall: int | None


def understand(caption: str) -> Statement:
    """Reads a caption of bouncing digits; words it does not know are passed over.

    A number is a count before ``time`` or ``times``, a number of digits before ``digits``, and else
    a digit. Counts of several digits are added up.
    """
    words = re.findall(r"[a-z]+|[0-9]+", caption.lower())
    digits, counts = [], []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        value = _NUMBERS.get(word, int(word) if word.isdigit() else None)
        if word in _ADVERBS:
            counts.append(_ADVERBS[word])
        elif value is not None and following in ("time", "times"):
            counts.append(value)
        elif value is not None and following != "digits" and value < len(_NAMES):
            digits.append(value)
    hit = re.search(r"hits the (\w+)", caption.lower())
    wall = _WALLS.get(hit[1]) if hit else None
    return Statement(tuple(digits), sum(counts) if counts else None, wall)
