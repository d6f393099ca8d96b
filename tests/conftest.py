"""Set before anything is imported: the CPU, how it compiles, and array annotations checked."""

import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = pathlib.Path(__file__).parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
# Most programs here run once or twice: to optimise their code takes longer than to run it without.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jaxtyping  # noqa: E402

if loaded := [name for name in sys.modules if name.partition(".")[0] == "mmjax"]:
    raise RuntimeError(f"{loaded[0]} was imported before its annotations could be checked")
jaxtyping.install_import_hook("mmjax", "beartype.beartype")
