"""The reading pipeline of a system: its source, its host codecs, its place among the processes."""

import pathlib

from mmjax.data.pipeline import Pipeline
from mmjax.training.system import System


def make_pipeline(system: System, *, bad_records: pathlib.Path | None = None) -> Pipeline:
    """The training batches of a system; ``bad_records`` is where unreadable ones are listed."""
    raise NotImplementedError
