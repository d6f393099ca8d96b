"""What disks and networks do to files."""

import pathlib
import random

from mmjax.training import manifest


def flipped(content, moments):
    place, bit = moments.randrange(len(content)), moments.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def zeroed(content, moments):
    length = min(moments.choice([1, 64, 4096]), len(content))
    place = moments.randrange(len(content) - length + 1)
    return content[:place] + bytes(length) + content[place + length :]


def cut(content, moments):
    return content[: moments.randrange(len(content))]


DAMAGES = {"a flipped bit": flipped, "a zeroed block": zeroed, "a truncation": cut, "a loss": None}


def damage(folder: pathlib.Path, moments: random.Random) -> tuple[pathlib.Path, str]:
    """Spoils one file of a step, its manifest included; which, and how."""
    while True:
        path = moments.choice([*manifest.files(folder), folder.with_suffix(".sha256")])
        kind = moments.choice(list(DAMAGES))
        if kind == "a loss":
            path.unlink()
            return path, kind
        content = path.read_bytes()
        worse = DAMAGES[kind](content, moments) if content else content
        if worse != content:  # a block of zeros cannot be zeroed
            path.write_bytes(worse)
            return path, kind
