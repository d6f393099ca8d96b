"""Set before anything is imported: the CPU, how it compiles, and array annotations checked."""

import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = pathlib.Path(__file__).parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
# Most programs here run once or twice: to optimise their code takes longer than to run it without,
# and the older emitter of fused loops compiles in three quarters of the time of the newer one.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jaxtyping  # noqa: E402

if loaded := [name for name in sys.modules if name.partition(".")[0] == "mmjax"]:
    raise RuntimeError(f"{loaded[0]} was imported before its annotations could be checked")
jaxtyping.install_import_hook("mmjax", "beartype.beartype")

# What takes longest begins first, or at the end one process would work while the others wait.
LONGEST = (
    "sharding/test_eight_devices.py", "test_configs.py", "launch/test_slurm.py",
    "launch/test_local.py", "training/test_reliability.py", "test_readme.py",
    "models/test_transformer.py", "multihost/test_two_processes.py", "training/test_resume.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Puts the longest files first; ``--no-loadscope-reorder`` keeps them there."""
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
