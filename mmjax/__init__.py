"""Multimodal generative models in JAX and Flax."""

from typing import Any

__version__ = "0.1.0"


def build(config: Any):
    """The :class:`mmjax.training.system.System` that a config describes."""
    from mmjax.training.system import build as build_system

    return build_system(config)


def restore(workdir: Any):
    """The system of a run and its newest state: ``(System, State)``."""
    from mmjax.training.restore import restore as restore_run

    return restore_run(workdir)
