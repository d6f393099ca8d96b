"""How long the training step takes to compile at several depths, its blocks in a loop.

    python -m benchmarks.compile_depth [--depths 14 56] [--rounds 5]

Prints seconds of tracing, lowering and XLA together, the size of the program, and the ratio of the
deepest to the shallowest of neighbouring compilations. Nothing runs, and nothing is cached.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import jax

from mmjax import config as configs
from mmjax.training.restore import abstract_state, declared_batch
from mmjax.training.step import make_step
from mmjax.training.system import System, build


def deep(depth: int) -> System:
    """The quickstart's tiny form with so many blocks."""
    config = configs.plain(configs.load("configs/quickstart.py:tiny"))
    config["networks"]["denoiser"] |= {"depth": depth, "scan_unroll": 1}
    return build(config)


def compiled(depth: int) -> tuple[float, float, int]:
    """Wall and CPU seconds of tracing, lowering and XLA; bytes of the program's text."""
    system = deep(depth)
    state, batch = abstract_state(system), declared_batch(system)
    wall, cpu = time.perf_counter(), time.process_time()
    lowered = jax.jit(make_step(system), donate_argnums=0).lower(state, batch)
    lowered.compile()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return *seconds, len(lowered.as_text())


def measure(depths: Sequence[int], rounds: int) -> None:
    """Prints each round, then the ratios of neighbouring compilations."""
    found: dict[int, list[tuple[float, float, int]]] = {depth: [] for depth in depths}
    for number in range(rounds):
        for depth in depths if number % 2 else reversed(depths):
            found[depth].append(compiled(depth))
            wall, cpu, size = found[depth][-1]
            print(f"{depth} blocks: {wall:.2f} s, CPU {cpu:.2f} s, {size} bytes", flush=True)
    for place, kind in enumerate(("wall", "CPU")):
        pairs = zip(found[depths[-1]], found[depths[0]], strict=True)
        ratios = sorted(far[place] / near[place] for far, near in pairs)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{depths[-1]} to {depths[0]} blocks, {kind}: {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[14, 56])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    compiled(2)  # what is traced once a process
    measure(arguments.depths, arguments.rounds)


if __name__ == "__main__":
    main()
