"""``mmjax data cache``: a config's media encoded once, for every later run to read as latents."""

import argparse
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from mmjax.builder import nearest
from mmjax.errors import UserError


def cache(options: argparse.Namespace) -> None:
    """Encodes a split, or goes on with it, and prints how to train on the result."""
    import tqdm

    from mmjax import config as configs
    from mmjax.cli import models
    from mmjax.cli.data_write import source_of
    from mmjax.data.cache_writer import CacheWriter
    from mmjax.training.system import build

    system = build(configs.load(options.config, options.overrides))
    learned = models.load_any(options.workdir) if options.workdir else None
    steps = _steps(system, learned, options.fields)
    writer = CacheWriter(
        source_of(system, options.split),
        {name: step.encoding(name) for name, step in steps.items()},
        _encoder(steps),
        count=options.count,
        batch_size=system.data.batch_size,
        per_file=options.per_file,
        workers=system.data.workers,
    )
    with tqdm.tqdm(unit="record", dynamic_ncols=True, delay=1) as bar:

        def watch(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        bad = writer.write(options.to, watch)
    for name, reason in bad.items():
        print(f"bad: {reason}" if name in reason else f"bad: {name}: {reason}")
    total = writer.manifest.records
    print(f"{options.to}: {total} records, {len(bad)} unreadable; {', '.join(steps)} as latents")
    print(
        f"train on them with --config.data.train=\"{{'_target_': 'mmjax.data.cache:Cached', "
        f"'folder': '{options.to}'}}\""
    )


@dataclasses.dataclass(frozen=True)
class _Step:
    """How one field is encoded.

    Attributes:
      modality: of the field.
      codec: what encodes it.
      encode: a batch of raw fields to the field's latents.
      before, weights: of a learned codec, see :class:`mmjax.data.cache.Encoding`.
    """

    modality: Any
    codec: Any
    encode: Callable[[Mapping[str, Any]], Any] = dataclasses.field(compare=False)
    before: Any = None
    weights: str | None = None

    def encoding(self, field: str) -> Any:
        """What the cache notes; nothing is computed."""
        import jax

        from mmjax.data.cache import Encoding

        raw = self.modality.spec()
        batch = {field: jax.ShapeDtypeStruct((1, *raw.shape), raw.dtype)}
        shape = jax.eval_shape(self.encode, batch).shape[1:]
        return Encoding(self.modality, self.codec, shape, self.before, self.weights)


def _steps(system: Any, learned: Any, fields: str) -> dict[str, _Step]:
    """The fields to encode; by default every one that a codec on the device encodes."""
    steps = {}
    for spec in system.streams.values():
        if spec.codec is not None and not spec.codec.host:
            step = _Step(spec.modality, spec.codec, _values_of(spec))
            if steps.setdefault(spec.field, step) != step:
                raise UserError(f"two streams encode {spec.field!r} differently; cache neither")
    if learned is not None:
        steps |= _learned(system, learned)
    names = [name.strip() for name in fields.split(",")] if fields else list(steps)
    for name in names:
        if name not in steps:
            raise UserError(f"--fields {name}: no codec encodes that field{nearest(name, steps)}")
    if not names:
        raise UserError(f"{system.name} has no codec on the device: there is nothing to encode")
    return {name: steps[name] for name in names}


def _values_of(spec: Any) -> Callable[[Mapping[str, Any]], Any]:
    return lambda batch: spec.encode(batch).values


def _learned(system: Any, model: Any) -> dict[str, _Step]:
    """The step of the one network of another run that encodes."""
    from mmjax.training.state import sampling_context

    networks = [name for name, net in model.system.networks.items() if hasattr(net, "encode")]
    if len(networks) != 1 or len(model.system.streams) != 1:
        raise UserError(
            f"{model.source}: a learned codec is one network with a method encode and one stream; "
            f"this run has {len(networks)} and {len(model.system.streams)}"
        )
    (network,), (spec,) = networks, model.system.streams.values()
    if system.modalities.get(spec.field) != spec.modality:
        raise UserError(f"{model.source}: its {spec.field} is not that of {system.name}")
    ctx = sampling_context(model.system, model.state)

    def encode(batch: Mapping[str, Any]) -> Any:
        found = ctx.apply(network, spec.encode(batch).values, method="encode")
        return found.mean if dataclasses.is_dataclass(found) else found  # a posterior: its mean

    codec = model.system.networks[network]
    weights = _digest(ctx.params[network])
    return {spec.field: _Step(spec.modality, codec, encode, spec.codec, weights)}


def _encoder(steps: Mapping[str, _Step]):
    """One compiled function of a batch for all fields, from NumPy to NumPy."""
    import jax

    encode = jax.jit(lambda batch: {name: step.encode(batch) for name, step in steps.items()})
    return lambda batch: jax.device_get(encode(batch))


def _digest(params: Any) -> str:
    """SHA-256 of parameters by path."""
    import numpy as np

    from mmjax import tree

    digest = hashlib.sha256()
    for path, leaf in sorted(tree.flatten(params).items()):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
