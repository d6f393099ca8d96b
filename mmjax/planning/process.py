"""Planning in a process of its own."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from mmjax.errors import UserError

# No TPU is asked for, neither by JAX nor by libtpu; any number of processes may plan at once; and
# what this process asks of its own compiler is not asked of that for TPUs (LIBTPU_INIT_ARGS is).
SETTINGS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "XLA_FLAGS": "",
}


def plan(choice: Mapping[str, Any], sweep: int = 0) -> dict[str, Any]:
    """Plans a choice.

    Args:
      choice: the fields of a :class:`mmjax.planning.choice.Choice`.
      sweep: other ways of running it to compile and rank; 0 for none.

    Returns:
      ``plans``, one for each stage of the config, and ``host``: the seconds, CPU seconds and most
      bytes that the planning took.

    Raises:
      UserError: a mistake in the choice, or libtpu is missing.
      RuntimeError: planning failed, with the last lines of what it printed.
    """
    request = json.dumps({"choice": dict(choice), "sweep": sweep})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "plan.json"
        done = subprocess.run(
            [sys.executable, "-m", "mmjax.planning.worker", str(path)],
            input=request, capture_output=True, text=True,
            env=os.environ | SETTINGS,
        )  # fmt: skip
        if done.returncode or not path.is_file():
            raise RuntimeError(f"planning failed ({done.returncode}):\n{done.stderr[-4000:]}")
        found = json.loads(path.read_text(encoding="utf-8"))
    if "error" in found:
        raise UserError(found["error"])
    return found
