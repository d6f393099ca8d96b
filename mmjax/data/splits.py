"""What sources share: the names of splits, and which record an index asks for."""

import operator
from collections.abc import Sized
from typing import SupportsIndex

from mmjax.errors import UserError

SPLITS = ("train", "test")


def check_split(split: str, of: str) -> None:
    """Raises UserError unless ``split`` is one of ``SPLITS``; ``of`` names the source."""
    if split not in SPLITS:
        raise UserError(f"split {split!r} of {of} is not one of {SPLITS}")


def place(source: Sized, index: SupportsIndex) -> int:
    """``index`` as an integer; IndexError unless the source has a record there."""
    found = operator.index(index)
    if not 0 <= found < len(source):
        raise IndexError(f"record {found} of {len(source)}")
    return found
