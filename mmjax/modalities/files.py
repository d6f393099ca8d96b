"""Media files as such: what they are by their content, and how much of them is let in."""

import dataclasses
import os
import stat

from mmjax.errors import UserError
from mmjax.modalities.base import MediaError


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a file may hold; anything above is refused before it is decoded.

    Attributes:
      file_bytes: size of the file.
      pixels: of one picture or frame.
      frames: of one clip.
      seconds: duration of one clip.
      decoded_bytes: of the frames that are held at once.
    """

    file_bytes: int = 2**32
    pixels: int = 2**26
    frames: int = 100_000
    seconds: float | int = 4 * 3600.0
    decoded_bytes: int = 2**32


_MAGIC = {
    b"\x1a\x45\xdf\xa3": "matroska",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"ID3": "mp3",
    b"GIF8": "gif",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
}
_RIFF = {b"AVI ": "avi", b"WAVE": "wav", b"WEBP": "webp"}
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def _format(head: bytes) -> str | None:
    """The format of a file that starts with ``head``, by its FFmpeg or Pillow name."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[4:8] in _BOXES:
        return "mov"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:1] == head[188:189] == b"G":
        return "mpegts"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG audio frame sync
        return "aac" if head[1] & 0x06 == 0 else "mp3"
    return None


def identify(path: str, allowed: tuple[str, ...], kind: str, limits: Limits) -> str:
    """The format of a file by its content, one of ``allowed``.

    Names lie and demuxers that follow references (playlists, concatenations, image patterns) can
    be made to read other files, so neither the suffix nor a library's guess decides.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{path}: is not a file")
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise MediaError(f"{path}: is empty")
    if status.st_size > limits.file_bytes:
        raise MediaError(
            f"{path}: has {status.st_size} bytes, more than the {limits.file_bytes} allowed"
        )
    found = _format(head)
    if found not in allowed:
        what = f"is {found}" if found else "is of no known format"
        raise MediaError(f"{path}: {what}; {kind} is read from {', '.join(allowed)}")
    return found


def suffix_of(path: str, allowed: tuple[str, ...], kind: str) -> str:
    """The lower-case suffix of a file to write, one of ``allowed``."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in allowed:
        raise UserError(f"{path}: {kind} is written as {' or '.join(allowed)}")
    return suffix
