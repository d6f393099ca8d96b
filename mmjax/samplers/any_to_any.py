"""From what is given and what is wanted to the streams a sampler starts from."""

import jax.numpy as jnp
import numpy as np

from mmjax.builder import nearest
from mmjax.errors import UserError
from mmjax.rng import named
from mmjax.samplers.base import Specs, Streams, Want
from mmjax.samplers.guidance import drop_stream
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import PRNGKeyArray


def begin(
    specs: Specs, given: Streams, want: Want, batch: int, key: PRNGKeyArray
) -> dict[str, Stream]:
    """All streams of a system before sampling.

    A given stream is observed as in training. A wanted one is at time 1; one that is given too is
    known (time 0) at those indices of its first grid axis where its mask is true throughout, such
    as a video's first frames or a text's beginning. The others are dropped as their specs declare.

    Raises UserError for a name that is no stream's, and for a wanted stream that is a condition.
    """
    for name in (*given, *want):
        if name not in specs:
            raise UserError(f"no stream named {name!r} in this system{nearest(name, specs)}")
    for name in want:
        if not specs[name].process.generative:
            raise UserError(
                f"stream {name!r} is a condition of this system; it cannot be generated"
            )
    streams = {}
    for name, spec in specs.items():
        if name in given:
            known = given[name]
            streams[name] = _partly(spec, known) if name in want else spec.process.observe(known)
            continue
        dtype = jnp.int32 if spec.discrete else jnp.float32
        streams[name] = spec.make(jnp.zeros(spec.shape(batch), dtype), time=jnp.ones((batch,)))
        if name not in want:
            nothing = jnp.zeros((batch,), bool)
            streams[name] = drop_stream(streams[name], spec, nothing, named(key, "absent", name))
    return streams


def first_frames(spec: StreamSpec, frame: np.ndarray, length: int = 1) -> dict[str, np.ndarray]:
    """Batch fields that make known the first ``length`` latent frames of a stream.

    Args:
      spec: the stream, whose raw data have a leading frame axis.
      frame: ``[B, ...]`` one raw frame of each clip. It is repeated to the clip's length, so that a
        codec which sees several frames at once sees a still picture.
      length: indices of the latent grid's first axis, as trained with ``TimeSampler.prefix``.
    """
    frames = spec.modality.spec().shape[0]
    mask = np.zeros((len(frame), *spec.grid), bool)
    mask[:, :length] = True
    raw = np.repeat(np.asarray(frame)[:, None], frames, axis=1)
    return {spec.field: raw, f"{spec.field}_mask": mask}


def _partly(spec: StreamSpec, stream: Stream) -> Stream:
    """A wanted stream of which some is known: time 0 there and 1 elsewhere, all of it visible."""
    known = stream.mask
    if spec.discrete and hasattr(spec.codec, "end"):  # a text to be continued has no end yet
        known = known & (stream.values != spec.codec.end)
    known = jnp.all(known, axis=tuple(range(2, known.ndim)), keepdims=True)
    return stream.replace(time=jnp.where(known, 0.0, 1.0), mask=jnp.ones_like(stream.mask))
