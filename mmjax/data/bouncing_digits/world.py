"""The physics: a box under gravity between four walls, solved from impact to impact.

Between two impacts the motion is a parabola, so impact times are roots of quadratics and exact to
rounding; nothing is stepped in time. Lengths are pixels, x to the right and y downwards.
"""

import dataclasses
import math

import numpy as np

from mmjax.typing import Float

FLOOR, CEILING, LEFT, RIGHT = range(4)


@dataclasses.dataclass(frozen=True)
class World:
    """What a box moves in.

    Attributes:
      width: distance between the side walls in pixels.
      height: distance between ceiling and floor in pixels.
      gravity: downward acceleration in pixels per second squared.
      restitution: share of the normal speed that an impact leaves.
      friction: share of the tangential speed that an impact takes; rolling decelerates by
        ``friction * gravity``.
      rest_speed: a floor impact that would leave less normal speed than this ends in rolling.
    """

    width: float
    height: float
    gravity: float
    restitution: float
    friction: float
    rest_speed: float


@dataclasses.dataclass(frozen=True)
class Box:
    """A box at time 0: its extent, its centre and the impulse it gets (unit mass)."""

    width: float
    height: float
    x: float
    y: float
    velocity_x: float
    velocity_y: float


@dataclasses.dataclass(frozen=True)
class Bounce:
    """One impact that reverses the normal velocity: when, on which wall, where, how fast."""

    time: float
    wall: int
    x: float
    y: float
    speed: float


@dataclasses.dataclass(frozen=True)
class Track:
    """A whole motion: parabolas and the bounces between them.

    Attributes:
      starts: ``[S]`` start times of the parabolas, ascending from 0.
      parabolas: ``[S, 6]`` x, y, velocities and accelerations at each start.
      bounces: the impacts in time order.
      rolls: whether the box rolls or rests on the floor at the end.
    """

    starts: Float[np.ndarray, " S"]
    parabolas: Float[np.ndarray, "S 6"]
    bounces: tuple[Bounce, ...]
    rolls: bool

    def centres(self, times: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 2"]:
        """The centre ``[T, 2]`` (x, y) of the box at ``times`` ``[T]``."""
        segment = np.searchsorted(self.starts, times, side="right") - 1
        elapsed = (times - self.starts[segment])[:, None]
        position, velocity, acceleration = np.split(self.parabolas[segment], 3, axis=1)
        return position + velocity * elapsed + acceleration * elapsed**2 / 2


def time_to_cross(distance: float, velocity: float, acceleration: float, outward: int) -> float:
    """Seconds until ``velocity t + acceleration t^2 / 2 = distance``, moving ``outward`` (+-1).

    Only a crossing in the outward direction is an impact, so a box that touches a wall and moves
    away from it is never caught. Infinite where there is none.
    """
    if acceleration == 0:
        return distance / velocity if velocity * outward > 0 else math.inf
    square = velocity**2 + 2 * acceleration * distance
    if square <= 0:
        return math.inf
    time = (outward * math.sqrt(square) - velocity) / acceleration
    return time if time >= 0 else math.inf


def simulate(world: World, box: Box, duration: float) -> Track:
    """The motion of ``box`` for ``duration`` seconds."""
    motion = _Motion(world, box)
    now, starts, parabolas, bounces = 0.0, [], [], []
    while True:
        starts.append(now)
        parabolas.append(motion.parabola())
        wall, wait = motion.next_contact()
        now += wait
        if now >= duration:
            return Track(np.array(starts), np.array(parabolas), tuple(bounces), motion.rolling)
        motion.advance(wait)
        if wall is None:
            motion.velocity_x = 0.0
            continue
        speed = motion.reflect(wall)
        if speed is not None:
            bounces.append(Bounce(now, wall, motion.x, motion.y, speed))


class _Motion:
    """The state of one box between impacts."""

    def __init__(self, world: World, box: Box):
        self.world = world
        self.left, self.right = box.width / 2, world.width - box.width / 2
        self.ceiling, self.floor = box.height / 2, world.height - box.height / 2
        self.x, self.y = box.x, box.y
        self.velocity_x, self.velocity_y = box.velocity_x, box.velocity_y
        self.rolling = box.y == self.floor and box.velocity_y == 0

    def accelerations(self) -> tuple[float, float]:
        if not self.rolling:
            return 0.0, self.world.gravity
        if self.velocity_x == 0:
            return 0.0, 0.0
        return -math.copysign(self.world.friction * self.world.gravity, self.velocity_x), 0.0

    def parabola(self) -> tuple[float, ...]:
        return (self.x, self.y, self.velocity_x, self.velocity_y, *self.accelerations())

    def next_contact(self) -> tuple[int | None, float]:
        """The wall met next and the seconds until then; no wall where rolling ends first."""
        along, down = self.accelerations()
        waits = {
            FLOOR: time_to_cross(self.floor - self.y, self.velocity_y, down, 1),
            CEILING: time_to_cross(self.ceiling - self.y, self.velocity_y, down, -1),
            LEFT: time_to_cross(self.left - self.x, self.velocity_x, along, -1),
            RIGHT: time_to_cross(self.right - self.x, self.velocity_x, along, 1),
            None: -self.velocity_x / along if along else math.inf,
        }
        wall = min(waits, key=waits.get)
        return wall, waits[wall]

    def advance(self, seconds: float):
        along, down = self.accelerations()
        self.x += self.velocity_x * seconds + along * seconds**2 / 2
        self.y += self.velocity_y * seconds + down * seconds**2 / 2
        self.velocity_x += along * seconds
        self.velocity_y += down * seconds
        # Rounding must not carry the box through a wall.
        self.x = min(max(self.x, self.left), self.right)
        self.y = min(max(self.y, self.ceiling), self.floor)

    def reflect(self, wall: int) -> float | None:
        """Resolves an impact; its normal speed, or None where the box stays on the floor."""
        kept, tangential = self.world.restitution, 1 - self.world.friction
        if wall in (LEFT, RIGHT):
            speed = abs(self.velocity_x)
            self.velocity_x *= -kept
            self.velocity_y *= tangential
            return speed
        speed = abs(self.velocity_y)
        self.velocity_x *= tangential
        self.velocity_y *= -kept
        if wall == FLOOR and kept * speed < self.world.rest_speed:
            self.y, self.velocity_y, self.rolling = self.floor, 0.0, True
            return None
        return speed
