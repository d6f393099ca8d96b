"""Still pictures."""

import dataclasses
import io
from typing import Any, ClassVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from mmjax.files import atomic
from mmjax.modalities.base import (
    MediaError,
    Modality,
    require_one_of,
    require_pixels,
    require_positive,
)
from mmjax.modalities.files import Limits, identify, suffix_of
from mmjax.modalities.picture import to_rgb
from mmjax.modalities.resample import fit_picture
from mmjax.typing import UInt8

_FORMATS = ("png", "jpeg", "webp", "gif")
_WRITTEN = {".png": ("PNG", {}), ".jpg": ("JPEG", {"quality": 95, "subsampling": 0})}
_WRITTEN[".jpeg"] = _WRITTEN[".jpg"]


@dataclasses.dataclass(frozen=True)
class Image(Modality):
    """A picture ``[height, width, channels]``.

    Attributes:
      height: rows.
      width: columns.
      channels: 1 (grey) or 3 (RGB).
    """

    height: int
    width: int
    channels: int = 3

    name: ClassVar[str] = "image"
    axes: ClassVar[tuple[str, ...]] = ("height", "width")
    dtype: ClassVar[type] = np.uint8
    value_range: ClassVar[tuple[float, float]] = (0.0, 255.0)
    by_path: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("mmjax.evaluation.metrics.fidelity:Fidelity",)
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".webp", ".gif")

    def __post_init__(self):
        require_positive(self, "height", "width")
        require_one_of(self, "channels", (1, 3))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns, channels."""
        return self.height, self.width, self.channels

    @property
    def extent(self) -> tuple[float, ...]:
        """Rows, columns."""
        return float(self.height), float(self.width)

    def read(self, path: str) -> UInt8[np.ndarray, "H W C"]:
        """The picture upright, its centre cut to the declared proportions and scaled.

        What is transparent becomes white; of an animation the first frame is read.
        """
        limits = Limits()
        found = identify(path, _FORMATS, "a picture", limits)
        try:
            with Pillow.open(path, formats=(found.upper(),)) as image:
                if image.width * image.height > limits.pixels:
                    raise MediaError(
                        f"{path}: has {image.width} x {image.height} pixels, "
                        f"more than the {limits.pixels} allowed"
                    )
                rgb = _opaque(ImageOps.exif_transpose(image))
        except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
            raise MediaError(f"{path}: has more than the {limits.pixels} pixels allowed") from error
        except UnidentifiedImageError as error:
            raise MediaError(f"{path}: cannot be decoded (not a whole {found} file)") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise MediaError(f"{path}: cannot be decoded ({error})") from error
        return fit_picture(rgb, self.height, self.width, self.channels)

    def parse(self, value: Any, where: str) -> UInt8[np.ndarray, "H W C"]:
        """Pixels uint8 ``[H, W, 1 or 3]`` of any size."""
        rgb = to_rgb(require_pixels(value, 3, where))
        return fit_picture(rgb, self.height, self.width, self.channels)

    def save(self, path: str, array: UInt8[np.ndarray, "H W C"]) -> None:
        """PNG (exact) or JPEG, whichever the suffix says."""
        kind, options = _WRITTEN[suffix_of(path, tuple(_WRITTEN), "a picture")]
        file = io.BytesIO()
        squeezed = array[..., 0] if array.shape[-1] == 1 else array
        Pillow.fromarray(squeezed).save(file, kind, **options)
        with atomic(path) as temporary:
            temporary.write_bytes(file.getvalue())

    def preview(self, array: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "I J 3"]:
        """The picture itself in RGB."""
        return to_rgb(array)


def _opaque(image: Pillow.Image) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels over white, with 16-bit grey reduced to 8 bits."""
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Pillow.new("RGBA", image.size, "white")
        image = Pillow.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
