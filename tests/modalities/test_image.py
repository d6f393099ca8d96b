"""Pictures from files, fitted to the declared facts."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from mmjax.errors import UserError
from mmjax.modalities.base import MediaError
from mmjax.modalities.image import Image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_saved_pictures_read_back(tmp_path, channels, suffix):
    image = Image(height=24, width=31, channels=channels)
    rows, columns = np.mgrid[:24, :31]
    array = np.stack([rows * 8, columns * 7, rows + columns], -1)[..., :channels].astype(np.uint8)
    path = str(tmp_path / f"picture{suffix}")
    image.save(path, array)
    found = image.read(path)
    image.check(found, path)
    assert np.abs(found.astype(int) - array).max() <= (0 if suffix == ".png" else 8)


def test_the_centre_is_cut_and_scaled(tmp_path):
    """Of a wide picture with a white middle third, the middle remains."""
    picture = np.zeros((40, 120, 3), np.uint8)
    picture[:, 40:80] = 255
    path = tmp_path / "wide.png"
    Pillow.fromarray(picture).save(path)
    assert (Image(height=20, width=20).read(str(path)) == 255).all()
    assert Image(height=10, width=30).read(str(path))[:, :9].max() == 0


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
def test_kinds_of_pixels(tmp_path, mode):
    if mode == "I;16":
        picture = Pillow.fromarray(np.full((8, 8), 180 * 257, np.uint16))
    else:
        picture = Pillow.new("RGB", (8, 8), (180, 180, 180)).convert(mode, dither=0, palette=1)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    picture.save(path)
    expected = 255 if mode == "1" else 180
    assert np.abs(Image(height=8, width=8).read(str(path)).astype(int) - expected).max() <= 3


def test_transparent_becomes_white(tmp_path):
    path = tmp_path / "clear.png"
    Pillow.new("RGBA", (8, 8), (10, 20, 30, 0)).save(path)
    assert (Image(height=8, width=8).read(str(path)) == 255).all()


def test_cameras_that_lie_on_their_side(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:4] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    path = tmp_path / "side.png"
    Pillow.fromarray(picture).save(path, exif=exif)
    found = Image(height=16, width=16, channels=1).read(str(path))[..., 0]
    assert found[:, 12:].min() == 255 and found[:, :12].max() == 0


def test_bad_pictures_are_named(tmp_path):
    image = Image(height=8, width=8)
    path = tmp_path / "picture.png"
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    for content, reason in (
        (b"", "is empty"),
        (whole[:40], "cannot be decoded"),
        (whole[: len(whole) // 2], "cannot be decoded"),
        (b"%PDF-1.7", "is of no known format"),
        (b"P6 9 9 255\n" + bytes(243), "is of no known format"),
    ):
        path.write_bytes(content)
        with pytest.raises(MediaError, match=rf"picture\.png: {reason}"):
            image.read(str(path))


@pytest.mark.parametrize("side", [8193, 12000, 60000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
    )
    with pytest.raises(MediaError, match=r"bomb\.png: has .*more than the 67108864"):
        Image(height=8, width=8).read(str(path))


def test_an_unknown_suffix_is_refused_when_saving(tmp_path):
    with pytest.raises(UserError, match=r"picture is written as \.png or \.jpg"):
        Image(height=8, width=8).save(str(tmp_path / "a.bmp"), np.zeros((8, 8, 3), np.uint8))
