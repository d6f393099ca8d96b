"""Kinds of data: raw facts, files, positions and previews of each."""
