"""The captions: a small grammar over what happened, with exact counts."""

import re
from collections import Counter

import numpy as np

from mmjax.data.bouncing_digits.scene import Body
from mmjax.data.bouncing_digits.world import CEILING, FLOOR, LEFT, RIGHT
from mmjax.data.digits import NAMES, article

MOST = 9
"""The largest count that the grammar can put into words."""

_ADVERBS = {1: "once", 2: "twice"}
_WALLS = {FLOOR: "floor", CEILING: "ceiling", LEFT: "left wall", RIGHT: "right wall"}
_SUBJECTS = (
    "{article} {name}",
    "{article} {name}",
    "{article} {name}",
    "{article} {figure}",
    "the digit {name}",
    "the digit {figure}",
    "the number {name}",
    "a handwritten {name}",
)
_SIZED_SUBJECTS = ("a {size} {name}", "a {size} {figure}", "the {size} {name}")
_THROWS = {
    "dropped": ("falls", "is dropped"),
    "left": ("is thrown to the left", "flies left"),
    "right": ("is thrown to the right", "flies right"),
    "up": ("is thrown up", "jumps up"),
    "rolled left": ("rolls to the left", "rolls left"),
    "rolled right": ("rolls to the right", "rolls right"),
}
_GROUPS = (
    "{list} bounce",
    "{number} digits: {list} bounce",
    "{number} digits bounce: {list}",
    "{list} bounce {times} in all",
)
_NUMBERS = {2: "two", 3: "three"}


def tokens(caption: str) -> list[str]:
    """The words, figures and marks of a caption."""
    return re.findall(r"[a-z]+|[0-9]|[,:]", caption)


def vocabulary() -> tuple[str, ...]:
    """Every token that a caption can hold, sorted."""
    templates = [
        *_SUBJECTS,
        *_SIZED_SUBJECTS,
        *_WALLS.values(),
        *(phrase for phrases in _THROWS.values() for phrase in phrases),
        *_GROUPS,
        "a an and , bounces rings hits the and comes to rest time times small big",
    ]
    words = {word for text in templates for word in tokens(re.sub(r"\{\w+\}", " ", text))}
    figures = {str(figure) for figure in range(10)}
    return tuple(sorted(words | figures | set(NAMES) | set(_ADVERBS.values())))


def caption(rng: np.random.Generator, bodies: tuple[Body, ...], sizes: tuple[int, int]) -> str:
    """One true sentence about the clip.

    Args:
      rng: draws the wording.
      bodies: the digits and what they did.
      sizes: the heights in pixels that are called small and big.
    """
    if len(bodies) == 1:
        return f"{_subject(rng, bodies[0], sizes)} {_deeds(rng, bodies[0])}"
    names = [_pick(rng, ("{article} {name}", "{article} {figure}"), body) for body in bodies]
    counts = [len(body.track.bounces) for body in bodies]
    if rng.random() < 0.4:
        clauses = zip(names, counts, strict=True)
        return _listed([f"{name} bounces {_times(rng, count)}" for name, count in clauses])
    templates = _GROUPS if sum(counts) <= MOST else _GROUPS[:-1]
    return templates[rng.integers(len(templates))].format(
        list=_listed(names), number=_NUMBERS[len(bodies)], times=_times(rng, sum(counts))
    )


def _subject(rng: np.random.Generator, body: Body, sizes: tuple[int, int]) -> str:
    if rng.random() < 0.2:
        return _pick(rng, _SIZED_SUBJECTS, body, "small" if body.size == sizes[0] else "big")
    return _pick(rng, _SUBJECTS, body)


def _deeds(rng: np.random.Generator, body: Body) -> str:
    times = _times(rng, len(body.track.bounces))
    draw = rng.random()
    if draw < 0.35:
        return f"bounces {times}"
    if draw < 0.65:
        throws = _THROWS[body.throw]
        return f"{throws[rng.integers(len(throws))]} and bounces {times}"
    if draw < 0.85:
        hits = Counter(bounce.wall for bounce in body.track.bounces)
        wall = sorted(hits)[rng.integers(len(hits))]
        return f"hits the {_WALLS[wall]} {_times(rng, hits[wall])}"
    if draw < 0.95:
        return f"rings {times}"
    return f"bounces {times} and comes to rest" if body.track.rolls else "bounces"


def _times(rng: np.random.Generator, count: int) -> str:
    draw = rng.random()
    if count in _ADVERBS and draw < 0.6:
        return _ADVERBS[count]
    number = NAMES[count] if draw < 0.8 and count <= MOST else str(count)
    return f"{number} time" if count == 1 else f"{number} times"


def _pick(rng: np.random.Generator, templates: tuple[str, ...], body: Body, size: str = "") -> str:
    return templates[rng.integers(len(templates))].format(
        article=article(body.label), name=NAMES[body.label], figure=body.label, size=size
    )


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
