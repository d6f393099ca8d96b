"""The records: a pure function of (seed, split, index)."""

import dataclasses
from typing import SupportsIndex

import numpy as np

from mmjax.data.bouncing_digits import captions, picture, sound
from mmjax.data.bouncing_digits.scene import (
    FASTEST,
    Body,
    Scene,
    draw_world,
    most_bounces,
    throw,
)
from mmjax.data.digits import handwritten, instances
from mmjax.data.splits import SPLITS, place
from mmjax.errors import UserError

_LENGTHS = {"train": 1_000_000, "test": 10_000}
_MOST_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class BouncingDigits:
    """Clips of handwritten digits that fall, bounce off four walls and ring at each bounce.

    A record holds

    * ``video`` uint8 ``[frames, height, width, 1]``; frame ``k`` shows the moment ``k / fps``;
    * ``audio`` float32 ``[samples, 2]`` from -1 to 1;
    * ``text``: a caption;
    * ``image`` uint8 ``[height, width, 1]``: the first frame;
    * ``action`` float32 ``[12]``: per digit the centre x, y at time 0 in widths and heights of the
      picture and the impulse x, y in widths and heights per second (unit mass); zeros for digits
      that are not there;
    * ``digits`` int32 ``[3]``: the labels, padded with -1, and ``label`` int32: the first of them;
    * ``events`` float32 ``[E, 5]``: every bounce in time order as time in seconds, index into
      ``digits``, wall (0 floor, 1 ceiling, 2 left, 3 right), x of the digit's centre in pixels and
      normal speed before the impact in pixels per second; padded with -1.

    Attributes:
      split: ``"train"`` or ``"test"``: other handwritings and other clips.
      frames: frames of a clip.
      height: rows of a frame.
      width: columns of a frame.
      fps: frames per second.
      rate: samples of sound per second.
      digits: the smallest and largest number of digits in a clip, from 1 to 3.
      size: heights of a small and a big digit in pixels; several digits are small ones.
      seed: chooses the clips.
      length: number of records; by default a million for training and ten thousand for testing.
    """

    split: str
    frames: int = 24
    height: int = 24
    width: int = 24
    fps: float = 12.5
    rate: int = 8000
    digits: tuple[int, int] = (1, 1)
    size: tuple[int, int] = (8, 11)
    seed: int = 0
    length: int | None = None

    def __post_init__(self):
        handwritten(self.split)
        fewest, most = self.digits
        if not 1 <= fewest <= most <= _MOST_DIGITS:
            raise UserError(f"digits {self.digits} must be ordered and from 1 to {_MOST_DIGITS}")
        if not 8 <= self.size[0] <= self.size[1] <= min(self.height, self.width) / 2:
            raise UserError(
                f"size {self.size} must be ordered, from 8 pixels to half of the "
                f"{self.height} x {self.width} picture"
            )
        if self.duration < 1:
            raise UserError(f"{self.frames} frames at {self.fps} fps last less than a second")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.fps

    @property
    def samples(self) -> int:
        """Samples per channel of a clip."""
        return round(self.duration * self.rate)

    @property
    def facts(self) -> dict:
        """What codecs and metrics may need to know: words, pitches, fps and rate."""
        return {
            "words": captions.vocabulary(),
            "pitches": sound.PITCHES,
            "fps": self.fps,
            "rate": self.rate,
        }

    def __len__(self) -> int:
        return _LENGTHS[self.split] if self.length is None else self.length

    def __getitem__(self, index: SupportsIndex) -> dict:
        scene, rng = self._draw(index)
        video = self._film(scene)
        labels = [body.label for body in scene.bodies]
        return {
            "video": video,
            "audio": self._record(scene),
            "text": captions.caption(rng, scene.bodies, self.size),
            "image": video[0].copy(),
            "action": self._action(scene),
            "digits": np.array(labels + [-1] * (_MOST_DIGITS - len(labels)), np.int32),
            "label": np.int32(labels[0]),
            "events": self._events(scene),
        }

    def scene(self, index: SupportsIndex) -> Scene:
        """The exact physics behind a record."""
        return self._draw(index)[0]

    def _draw(self, index: SupportsIndex) -> tuple[Scene, np.random.Generator]:
        """The scene and the generator that goes on to draw its caption."""
        index = place(self, index)
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), index))
        world = draw_world(rng, self.height, self.width, self.fps)
        count = int(rng.integers(self.digits[0], self.digits[1] + 1))
        bodies = []
        for label in rng.permutation(10)[:count].tolist():
            instance = int(rng.choice(instances(self.split, label)))
            size = self.size[rng.integers(2)] if count == 1 else self.size[0]
            extent = picture.sprite(self.split, instance, size).shape
            bodies.append(
                Body(label, instance, size, *throw(rng, world, extent, self.duration, self.fps))
            )
        return Scene(world, tuple(bodies)), rng

    def _film(self, scene: Scene) -> np.ndarray:
        times = np.arange(self.frames) / self.fps
        layers = [
            picture.draw(
                picture.sprite(self.split, body.instance, body.size),
                body.track.centres(times),
                self.height,
                self.width,
            )
            for body in scene.bodies
        ]
        return np.rint(np.maximum.reduce(layers)).astype(np.uint8)[..., None]

    def _record(self, scene: Scene) -> np.ndarray:
        fastest = FASTEST * min(self.height, self.width) / 24
        audio = np.zeros((self.samples, 2))
        for body in scene.bodies:
            bounces = body.track.bounces
            audio += sound.strike(
                np.array([bounce.time for bounce in bounces]),
                sound.loudness(np.array([bounce.speed for bounce in bounces]), fastest),
                np.array([bounce.x for bounce in bounces]) / self.width,
                sound.PITCHES[body.label],
                self.samples,
                self.rate,
            )
        return np.clip(audio, -1, 1).astype(np.float32)

    def _action(self, scene: Scene) -> np.ndarray:
        action = np.zeros((_MOST_DIGITS, 4), np.float32)
        for row, body in zip(action, scene.bodies, strict=False):
            box = body.box
            row[:] = box.x, box.y, box.velocity_x, box.velocity_y
        return (action / np.array([self.width, self.height] * 2, np.float32)).reshape(-1)

    def _events(self, scene: Scene) -> np.ndarray:
        rows = sorted(
            (bounce.time, which, bounce.wall, bounce.x, bounce.speed)
            for which, body in enumerate(scene.bodies)
            for bounce in body.track.bounces
        )
        events = np.full((_MOST_DIGITS * most_bounces(self.duration), 5), -1, np.float32)
        events[: len(rows)] = rows
        return events
