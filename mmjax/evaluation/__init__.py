"""Judging: metrics with their protocol, and the table they make."""
