"""Handwritten digits that fall, bounce and ring, with exact ground truth, made on the fly."""

from mmjax.data.bouncing_digits.source import BouncingDigits

__all__ = ["BouncingDigits"]
