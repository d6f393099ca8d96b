"""Vectors to entries of a codebook and back."""
