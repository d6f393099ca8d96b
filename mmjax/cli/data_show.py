"""``mmjax data show``: the examples that a config's model sees, as files and as a table."""

import argparse
import contextlib
import dataclasses
import pathlib
from typing import Any

import numpy as np

from mmjax.errors import UserError

_FIELD_HEAD = ("field", "dtype", "shape of one", "smallest", "largest", "mean")
_STREAM_HEAD = ("stream", "codec", "dtype", "shape of one", "smallest", "largest", "mean", "spread")
_FEW_BAD = 5  # bad records named in full


def show(options: argparse.Namespace) -> None:
    """Writes the first examples of a split to a folder and prints what their arrays hold."""
    from mmjax import config as configs
    from mmjax.evaluation.media import save_example
    from mmjax.evaluation.table import align
    from mmjax.training.system import build

    system = build(configs.load(options.config, options.overrides))
    pipeline = _pipeline(system, options.split, options.count)
    batch = pipeline.batch(0)
    media = _media(system, batch)
    out = pathlib.Path(options.out)
    files = 0
    for index in range(pipeline.batch_size if media else 0):
        example = {
            name: values[index]
            if values.dtype == object
            else values[index, ...]  # arrays, even 0-d
            for name, values in media.items()
        }
        facts = {"config": configs.digest(system.config), "split": options.split, "index": index}
        files += len(save_example(out, f"{index:03d}", system.modalities, example, facts))
    print(_summary(pipeline, options.split))
    print("\nwhat is read\n" + align([_FIELD_HEAD, *_field_rows(batch)]))
    if system.streams:
        print("\nwhat the networks see\n" + align([_STREAM_HEAD, *_stream_rows(system, batch)]))
    print(f"\n{out}: {pipeline.batch_size} examples in {files} files")


def _pipeline(system: Any, split: str, count: int):
    """The split's pipeline with batches of ``count`` examples, or of all where it has fewer."""
    from mmjax.evaluation.evaluator import HEADLINE
    from mmjax.training.batches import make_pipeline
    from mmjax.training.held_out import held_out_sets

    if split == "train":
        pipeline = make_pipeline(system)
    else:
        pipeline = held_out_sets(system, names=(HEADLINE,))[HEADLINE].pipeline
    # Row r of batch s is example s * batch_size + r, so the first batch of any size shows the
    # beginning of the same sequence.
    return dataclasses.replace(pipeline, batch_size=min(count, len(pipeline.source)))


def _media(system: Any, batch: dict) -> dict[str, np.ndarray]:
    """The raw values of a batch by field: texts as strings, cached latents decoded."""
    import jax.numpy as jnp

    from mmjax.training.held_out import readable
    from mmjax.training.sampling import to_raw

    media = {
        name: readable(system, name, batch[name]) for name in system.modalities if name in batch
    }
    for spec in system.streams.values():
        latents = batch.get(f"{spec.field}_latents")
        if spec.field not in media and latents is not None:
            # A stream of an outside autoencoder's latents cannot be shown.
            with contextlib.suppress(UserError):
                decoded = spec.codec.decode(jnp.asarray(latents))
                media[spec.field] = to_raw(spec.modality, np.asarray(decoded))
    return media


def _summary(pipeline: Any, split: str) -> str:
    """One line on the source, and one per bad record met."""
    bad = pipeline.bad.poll()
    kind, total = type(pipeline.source).__name__, len(pipeline.source)
    lines = [f"{split}: {total} records of {kind}; {pipeline.batch_size} shown, {len(bad)} bad"]
    for name, reason in list(bad.items())[:_FEW_BAD]:
        lines.append(f"  bad: {reason}" if name in reason else f"  bad: {name}: {reason}")
    if len(bad) > _FEW_BAD:
        lines.append(f"  bad: {len(bad) - _FEW_BAD} more")
    return "\n".join(lines)


def _field_rows(batch: dict) -> list[tuple[str, ...]]:
    rows = []
    for name, values in batch.items():
        if values.dtype == object:
            lengths = [len(value) for value in values]
            rows.append(
                (name, "text", "", f"{min(lengths)} letters", f"{max(lengths)} letters", "")
            )
        else:
            rows.append((name, *_facts(values)[:-1]))
    return rows


def _stream_rows(system: Any, batch: dict) -> list[tuple[str, ...]]:
    import jax.numpy as jnp

    arrays = {name: jnp.asarray(x) for name, x in batch.items() if x.dtype != object}
    rows = []
    for name, spec in system.streams.items():
        codec = type(spec.codec).__name__ if spec.codec is not None else "none"
        try:
            facts = _facts(np.asarray(spec.encode(arrays).values))
        except UserError:  # a network of the system makes these values, which no data holds
            facts = ("made by a network",) + ("",) * (len(_STREAM_HEAD) - 3)
        rows.append((name, codec, *facts))
    return rows


def _facts(values: np.ndarray) -> tuple[str, ...]:
    """Dtype, shape without the batch, smallest, largest, mean and standard deviation."""
    numbers = values.astype(np.float64)
    figures = (numbers.min(), numbers.max(), numbers.mean(), numbers.std())
    shape = "x".join(map(str, values.shape[1:])) or "scalar"
    return (str(values.dtype), shape, *(f"{figure:.4g}" for figure in figures))
