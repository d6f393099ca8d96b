"""How much memory causal codecs need as a clip grows: the whole pass beside one chunk of it.

    python -m benchmarks.codec_memory --out benchmarks/codec_memory.json

Nothing is run: each program is compiled for its shapes, and XLA says what it holds at once beside
the parameters (arguments, caches and results included). A chunk is one latent step of a film, or
eight of a sound, and ends a clip of the length that it stands under.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.common import environment

SIDE = 64  # pixels
FRAMES, STEPS = (17, 65, 257), (16, 64, 256)  # of films, latent ones of sounds
SIZE = 8  # latent steps of a chunk of sound; those of EnCodec's first are at least seven
_KIB = 2**10


@dataclasses.dataclass(frozen=True)
class Case:
    """A codec.

    Attributes:
      config: whose network is taken.
      fields: of the network that are set otherwise.
    """

    config: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)


CASES = {
    "Wan 2.2": Case("video/wan_vae.py:tiny"),
    "Wan 2.1": Case("video/wan_vae.py:tiny", {"patch": 1, "residual": False}),
    "LTX-2": Case("video/ltx2_vae.py:tiny", {"causal_decoder": True}),
    "Cosmos": Case("video/cosmos_vae.py:tiny"),
    "Mimi": Case("audio/mimi.py:tiny"),
    "EnCodec": Case("audio/encodec.py:tiny"),
}


def measure(case: Case) -> dict[str, dict[str, Any]]:
    """KiB by method and way, for each length, and how many programs all chunks have."""
    import jax

    codec = build(case)
    size = 1 if film(codec) else SIZE
    steps = [(n - 1) // codec.strides[0] + 1 for n in FRAMES] if film(codec) else list(STEPS)
    variables = jax.eval_shape(codec.init, jax.random.key(0), clip(codec, 2 * size))
    results = {}
    for method in ("encode", "decode"):
        whole = [clip(codec, count) for count in steps]
        one, more = clip(codec, size), clip(codec, size, alone=False)
        if method == "decode":
            whole = [latents(codec, variables, x) for x in whole]
            one = more = latents(codec, variables, one)
        found = {"whole": [held(codec, variables, x, method) for x in whole]}
        counts = [count // size for count in steps]
        results[method] = found | chunked(codec, variables, one, more, method, counts)
    return results


def film(codec: Any) -> bool:
    """Whether it codes films; else sounds."""
    return len(codec.strides) == 3


def build(case: Case) -> Any:
    """The network of a case."""
    from mmjax import config as configs
    from mmjax.builder import build as build_node

    config = configs.plain(configs.load(str(pathlib.Path("configs") / case.config)))
    node = config["networks"]["autoencoder"] | case.fields
    return build_node(node, "case", trusted=True)


def clip(codec: Any, steps: int, *, alone: bool = True) -> Any:
    """So many latent steps of a raw clip; of a film the first is one frame, if ``alone``."""
    import jax
    import jax.numpy as jnp

    if film(codec):
        frames = 1 + (steps - 1) * codec.strides[0] if alone else steps * codec.strides[0]
        return jax.ShapeDtypeStruct((1, frames, SIDE, SIDE, codec.channels), jnp.float32)
    return jax.ShapeDtypeStruct((1, steps * codec.strides[0], codec.channels), jnp.float32)


def latents(codec: Any, variables: Any, raw: Any) -> Any:
    """The abstract latents of an abstract clip."""
    import jax

    return jax.eval_shape(lambda v, x: codec.apply(v, x, method="encode").mean, variables, raw)


def chunked(
    codec: Any, variables: Any, one: Any, more: Any, method: str, counts: list[int]
) -> dict[str, Any]:
    """What the last of so many chunks holds, and how many programs all of them have."""
    import jax

    from mmjax.layers.causal_conv import CACHE

    def advance(state, part):
        return codec.apply(state, part, method=method, mutable=[CACHE])

    state, seen, sizes, part = dict(variables), {}, [], one
    for index in range(max(counts)):
        key = str(jax.tree.map(lambda x: x.shape, state)), part.shape
        if key not in seen:
            cache = jax.eval_shape(advance, state, part)[1]
            seen[key] = len(seen), cache, state, part
        number, cache, *shapes = seen[key]
        if index + 1 in counts:
            sizes.append((number, shapes))
        state, part = state | cache, more
    memory = {number: held(codec, *shapes, method, CACHE) for number, shapes in sizes}
    return {"chunk": [memory[number] for number, _ in sizes], "programs": len(seen)}


def held(codec: Any, variables: Any, part: Any, method: str, *mutable: str) -> float:
    """KiB that a compiled pass holds at once beside the parameters."""
    import jax

    def run(state, part):
        return codec.apply(state, part, method=method, mutable=list(mutable))

    compiled = jax.jit(run, keep_unused=True).lower(variables, part).compile()
    found = compiled.memory_analysis()
    leaves = jax.tree.leaves({k: v for k, v in variables.items() if k not in mutable})
    fixed = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    total = found.temp_size_in_bytes + found.output_size_in_bytes + found.argument_size_in_bytes
    return (total - fixed) / _KIB


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown."""
    lengths = " ".join(f"{frames}/{steps}" for frames, steps in zip(FRAMES, STEPS, strict=True))
    lines = [
        f"| codec | half | whole, KiB: {lengths} | chunk, KiB: {lengths} | programs of chunks |",
        "|---|---|---|---|---|",
    ]
    for name, methods in results.items():
        for method, found in methods.items():
            whole, chunk = (" ".join(f"{x:.0f}" for x in found[k]) for k in ("whole", "chunk"))
            lines.append(f"| {name} | {method} | {whole} | {chunk} | {found['programs']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    result: dict[str, Any] = {"command": sys.argv[1:], "environment": environment(("jax", "flax"))}
    result["KiB"] = {}
    for name in options.cases:
        result["KiB"][name] = measure(CASES[name])
        print(name, result["KiB"][name], flush=True)
    print(table(result["KiB"]))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
