"""What happens in a clip: which digits, how they are thrown, and the motion that follows."""

import dataclasses

import numpy as np

from mmjax.data.bouncing_digits.world import Box, Track, World, simulate

THROWS = ("dropped", "left", "right", "up", "rolled left", "rolled right")
_THROW_SHARES = (0.2, 0.25, 0.25, 0.14, 0.08, 0.08)

_APART = 3  # frames between two bounces of one digit, so that each is seen as a reversal
_BEFORE, _AFTER = 2, 3  # frames without a bounce at both ends of a clip, for the same reason
_SLOWEST = 8.0  # normal speed after a bounce, in 24ths of the picture per second
_REST = 12.0  # slower rises from the floor, in the same unit, are not seen as a bounce
_ATTEMPTS = 1000
_PATIENCE = 40  # attempts with one kind of throw before another is drawn
_SECONDS_PER_BOUNCE = 0.32

FASTEST = 60.0
"""Impact speed of the loudest tone, in 24ths of the picture per second."""


@dataclasses.dataclass(frozen=True)
class Body:
    """One digit of a scene: its picture, how it was thrown and where that took it."""

    label: int
    instance: int
    size: int
    throw: str
    box: Box
    track: Track


@dataclasses.dataclass(frozen=True)
class Scene:
    """A clip before it is drawn and sounded: exact, in pixels and seconds."""

    world: World
    bodies: tuple[Body, ...]


def most_bounces(duration: float) -> int:
    """The most bounces that one digit makes in a clip of ``duration`` seconds."""
    return max(1, round(duration / _SECONDS_PER_BOUNCE))


def draw_world(rng: np.random.Generator, height: int, width: int, fps: float) -> World:
    """Gravity, restitution and friction of one clip."""
    unit = min(height, width) / 24
    gravity = rng.uniform(60, 110) * unit
    return World(
        width=float(width),
        height=float(height),
        gravity=gravity,
        restitution=rng.uniform(0.78, 0.92),
        friction=rng.uniform(0.01, 0.1),
        rest_speed=max(_REST * unit, gravity * _APART / fps / 2),
    )


def throw(
    rng: np.random.Generator, world: World, extent: tuple[int, int], duration: float, fps: float
) -> tuple[str, Box, Track]:
    """Throws a box of ``extent`` (height, width) until its bounces can be told apart by eye.

    The bounces of an accepted throw are at least three frames apart, none is in the first two or
    the last three frames, and there are between one and ``most_bounces``.
    """
    unit = min(world.height, world.width) / 24
    for attempt in range(_ATTEMPTS):
        if attempt % _PATIENCE == 0:  # else the throws that bounce least would crowd out the others
            name = THROWS[rng.choice(len(THROWS), p=_THROW_SHARES)]
        box = _draw_box(rng, name, world, extent, unit)
        track = simulate(world, box, duration)
        times = np.array([bounce.time for bounce in track.bounces])
        if not 1 <= len(times) <= most_bounces(duration):
            continue
        slowest = min(bounce.speed for bounce in track.bounces) * world.restitution
        if (
            np.diff(times).min(initial=np.inf) >= _APART / fps
            and times[0] >= _BEFORE / fps
            and times[-1] <= duration - _AFTER / fps
            and slowest >= _SLOWEST * unit
        ):
            return name, box, track
    raise ValueError(f"no acceptable throw of a {extent} box in {world} for {duration} s")


def _draw_box(
    rng: np.random.Generator, name: str, world: World, extent: tuple[int, int], unit: float
) -> Box:
    height, width = map(float, extent)
    room_x, room_y = world.width - width, world.height - height
    x = width / 2 + rng.uniform(0, room_x)
    if name == "dropped":
        y, velocity = rng.uniform(0, 0.5), (0.0, 0.0)
    elif name == "up":
        y, velocity = rng.uniform(0.4, 1), (rng.uniform(-10, 10), rng.uniform(-55, -25))
    elif name.startswith("rolled"):
        y, velocity = 1.0, (rng.uniform(15, 42), 0.0)
    else:
        y, velocity = rng.uniform(0, 0.7), (rng.uniform(12, 42), rng.uniform(-20, 10))
    mirror = -1 if name.endswith("left") else 1
    top = room_y if y == 1.0 else y * room_y
    return Box(width, height, x, height / 2 + top, mirror * velocity[0] * unit, velocity[1] * unit)
