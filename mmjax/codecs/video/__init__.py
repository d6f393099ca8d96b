"""Autoencoders of video."""
