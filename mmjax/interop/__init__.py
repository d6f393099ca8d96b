"""Weights to and from public PyTorch checkpoints, as dictionaries of NumPy arrays."""
