"""The reading pipelines of a system: its sources, its host codecs, its batch size."""

import pathlib
from typing import Any

from mmjax.data.pipeline import Pipeline
from mmjax.data.transforms import Fields
from mmjax.training.restore import declared_batch
from mmjax.training.system import System


def make_pipeline(
    system: System,
    *,
    rows: tuple[int, int] | None = None,
    bad_records: pathlib.Path | None = None,
) -> Pipeline:
    """The training batches of a system, or some of their rows (see :class:`Pipeline`).

    Replaced records are listed in ``bad_records``.
    """
    return Pipeline(
        system.data.train,
        Fields(system.modalities, host_codecs(system), latents=_latents(system)),
        system.data.batch_size,
        seed=system.seed,
        workers=system.data.workers,
        rows=rows,
        bad_records=bad_records,
        max_bad_share=system.data.max_bad_share,
    )


def held_out(system: System, source: Any, truth: tuple[str, ...], batch_size: int) -> Pipeline:
    """A source in its own order, with the ground truth that metrics ask for."""
    fields = Fields(system.modalities, host_codecs(system), truth)
    return Pipeline(source, fields, batch_size, seed=system.seed, shuffle=False)


def host_codecs(system: System) -> dict[str, Any]:
    """The codecs that run while reading, by the batch field they encode."""
    by_field = {spec.field: spec.codec for spec in system.streams.values()}
    for name in system.modalities:
        by_field.setdefault(name, system.codecs.get(name))
    return {name: codec for name, codec in by_field.items() if codec is not None and codec.host}


def _latents(system: System) -> dict[str, tuple[int, ...]]:
    """The shapes of latents that records may hold, by field."""
    ending = "_latents"
    return {
        name.removesuffix(ending): spec.shape[1:]
        for name, spec in declared_batch(system).items()
        if name.endswith(ending)
    }
