"""The physics: a box under gravity between four walls, solved from impact to impact.

Between two impacts the motion is a parabola, so impact times are roots of quadratics and exact to
rounding; nothing is stepped in time. Lengths are pixels, x to the right and y downwards.
"""

import dataclasses
import math

import numpy as np

FLOOR, CEILING, LEFT, RIGHT = range(4)
_INSTANT = 1e-9  # seconds; a root closer than this is the contact that has just been resolved


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
    """A box at time 0: its extent, the position of its centre and the impulse it gets (unit mass)."""

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

    starts: np.ndarray
    parabolas: np.ndarray
    bounces: tuple[Bounce, ...]
    rolls: bool

    def centres(self, times: np.ndarray) -> np.ndarray:
        """The centre ``[T, 2]`` (x, y) of the box at ``times`` ``[T]``."""
        segment = np.searchsorted(self.starts, times, side="right") - 1
        elapsed = (times - self.starts[segment])[:, None]
        position, velocity, acceleration = np.split(self.parabolas[segment], 3, axis=1)
        return position + velocity * elapsed + acceleration * elapsed**2 / 2


def time_to_travel(distance: float, velocity: float, acceleration: float) -> float:
    """The first time after now at which ``velocity t + acceleration t^2 / 2 = distance``, or inf."""
    if acceleration == 0:
        time = distance / velocity if velocity else math.inf
        return time if time > _INSTANT else math.inf
    discriminant = velocity**2 + 2 * acceleration * distance
    if discriminant < 0:
        return math.inf
    # The form without cancellation: q and distance / q are the roots' halves.
    root = -velocity - math.copysign(math.sqrt(discriminant), velocity)
    times = [root / acceleration, -2 * distance / root if root else math.inf]
    return min((time for time in times if time > _INSTANT), default=math.inf)


def simulate(world: World, box: Box, duration: float) -> Track:
    """The motion of ``box`` for ``duration`` seconds."""
    left, right = box.width / 2, world.width - box.width / 2
    ceiling, floor = box.height / 2, world.height - box.height / 2
    x, y, velocity_x, velocity_y = box.x, box.y, box.velocity_x, box.velocity_y
    rolling = y == floor and velocity_y == 0
    now, starts, parabolas, bounces = 0.0, [], [], []
    while True:
        acceleration_x = (
            -math.copysign(world.friction * world.gravity, velocity_x)
            if rolling and velocity_x
            else 0.0
        )
        acceleration_y = 0.0 if rolling else world.gravity
        starts.append(now)
        parabolas.append((x, y, velocity_x, velocity_y, acceleration_x, acceleration_y))

        waits = {
            FLOOR: time_to_travel(floor - y, velocity_y, acceleration_y),
            CEILING: time_to_travel(ceiling - y, velocity_y, acceleration_y),
            LEFT: time_to_travel(left - x, velocity_x, acceleration_x),
            RIGHT: time_to_travel(right - x, velocity_x, acceleration_x),
        }
        wall = min(waits, key=waits.get)
        wait = waits[wall]
        stop = -velocity_x / acceleration_x if acceleration_x else math.inf
        if now + min(wait, stop) >= duration:
            return Track(np.array(starts), np.array(parabolas), tuple(bounces), rolling)
        step = min(wait, stop)
        now += step
        x = min(max(x + velocity_x * step + acceleration_x * step**2 / 2, left), right)
        y = min(max(y + velocity_y * step + acceleration_y * step**2 / 2, ceiling), floor)
        velocity_x += acceleration_x * step
        velocity_y += acceleration_y * step
        if stop < wait:
            velocity_x = 0.0
            continue

        if wall in (LEFT, RIGHT):
            x = left if wall == LEFT else right
            speed = abs(velocity_x)
            velocity_x *= -world.restitution
            velocity_y *= 1 - world.friction
        else:
            y = floor if wall == FLOOR else ceiling
            speed = abs(velocity_y)
            velocity_x *= 1 - world.friction
            velocity_y *= -world.restitution
            if wall == FLOOR and -velocity_y < world.rest_speed:
                rolling, velocity_y = True, 0.0
                continue
        bounces.append(Bounce(now, wall, x, y, speed))
