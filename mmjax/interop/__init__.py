"""Weights to and from public PyTorch checkpoints, as dictionaries of NumPy arrays."""

from mmjax.interop.pretrained import load_pretrained, save_pretrained

__all__ = ["load_pretrained", "save_pretrained"]
