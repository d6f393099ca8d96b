"""Moving pictures."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.modalities.base import Modality, require_one_of, require_pixels, require_positive
from mmjax.modalities.container import save_clip
from mmjax.modalities.decoding import VIDEO_FORMATS, open_medium, upright
from mmjax.modalities.files import Limits
from mmjax.modalities.picture import contact_sheet, to_rgb
from mmjax.modalities.resample import fit_picture, hold
from mmjax.typing import UInt8


@dataclasses.dataclass(frozen=True)
class Video(Modality):
    """A clip ``[frames, height, width, channels]``; frame ``k`` shows the moment ``k / fps``.

    Attributes:
      frames: frames of a clip.
      height: rows of a frame.
      width: columns of a frame.
      fps: frames per second.
      channels: 1 (grey) or 3 (RGB).
    """

    frames: int
    height: int
    width: int
    fps: float | int
    channels: int = 3

    name: ClassVar[str] = "video"
    axes: ClassVar[tuple[str, ...]] = ("time", "height", "width")
    dtype: ClassVar[type] = np.uint8
    value_range: ClassVar[tuple[float, float]] = (0.0, 255.0)
    by_path: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("mmjax.evaluation.metrics.fidelity:Fidelity",)
    suffixes: ClassVar[tuple[str, ...]] = (
        ".mp4", ".webm", ".mov", ".mkv", ".m4v", ".avi", ".ts", ".gif",
    )  # fmt: skip

    def __post_init__(self):
        require_positive(self, "frames", "height", "width", "fps")
        require_one_of(self, "channels", (1, 3))

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns, channels."""
        return self.frames, self.height, self.width, self.channels

    @property
    def extent(self) -> tuple[float, ...]:
        """Seconds, rows, columns."""
        return self.frames / self.fps, float(self.height), float(self.width)

    def read(self, path: str, start: float | int = 0.0) -> UInt8[np.ndarray, "T H W C"]:
        """The clip that begins ``start`` seconds into a file.

        Each frame is what a player shows at its moment, at any constant or varying rate of the
        file; the centre is cut to the declared proportions and scaled; a file that ends early
        holds its last frame. Only the frames that are needed are decoded.
        """
        with open_medium(path, VIDEO_FORMATS, "video", Limits()) as medium:
            shown = fitted = None
            clip = []
            for frame in hold(medium.frames(start), start, self.fps, self.frames):
                if frame is not shown:
                    shown = frame
                    fitted = fit_picture(upright(frame), self.height, self.width, self.channels)
                clip.append(fitted)
        return np.stack(clip)

    def parse(self, value: Any, where: str) -> UInt8[np.ndarray, "T H W C"]:
        """Frames uint8 ``[T, H, W, 1 or 3]`` of any size at the declared rate, cut or held."""
        frames = to_rgb(require_pixels(value, 4, where)[: self.frames])
        fitted = [fit_picture(f, self.height, self.width, self.channels) for f in frames]
        return np.stack(fitted + fitted[-1:] * (self.frames - len(fitted)))

    def save(self, path: str, array: UInt8[np.ndarray, "T H W C"]) -> None:
        """A silent film; see :func:`mmjax.modalities.container.save_clip` for one with sound."""
        save_clip(path, array, self.fps)

    def preview(self, array: UInt8[np.ndarray, "T H W C"]) -> UInt8[np.ndarray, "I J 3"]:
        """A contact sheet: frames in reading order."""
        return contact_sheet(array)
