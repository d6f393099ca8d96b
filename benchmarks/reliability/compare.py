"""Two finished runs, compared to the bit."""

import hashlib
import itertools
import json
import pathlib
from typing import Any

import jax
import numpy as np

import mmjax
from mmjax.training import manifest
from mmjax.training.batches import make_pipeline
from mmjax.training.writers import read_metrics

# What a clock has said differs from run to run.
_CLOCKED, _LEDGER = ("_per_second", "_seconds"), "goodput/"


def digests(workdir: str) -> dict[str, Any]:
    """Checksums of everything that a finished run must have in common with any other of its kind.

    Raises:
      Damaged: a checkpoint that was kept is not whole.
      ValueError: the state holds what is not finite.
    """
    system, state = mmjax.restore(workdir)
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    if broken := [path for path, leaf in leaves if not np.isfinite(leaf).all()]:
        raise ValueError(f"{workdir}: {jax.tree_util.keystr(broken[0])} is not finite")
    found = {jax.tree_util.keystr(path): _digest(leaf) for path, leaf in leaves}
    position = int(state.step) + int(state.data_offset)
    batches = make_pipeline(system).iterate(position)
    for number, batch in enumerate(itertools.islice(batches, 2)):
        found |= {f"next batch {number}: {name}": _digest(x) for name, x in batch.items()}
    batches.close()
    folder = pathlib.Path(workdir)
    found |= {f"metrics: {name}": rows for name, rows in columns(folder).items()}
    for path in (folder / "checkpoints").glob("*.sha256"):
        manifest.verify(path.with_suffix(""))
    return found


def differences(workdir: str, reference: dict[str, Any]) -> list[str]:
    """What of a finished run is not as in the one that was left alone."""
    found = digests(workdir)
    return [name for name in found | reference if found.get(name) != reference.get(name)]


def columns(workdir: pathlib.Path) -> dict[str, str]:
    """A checksum per column of the metrics; a hook may repeat its row, never change it."""
    found: dict[str, list] = {}
    for row in read_metrics(workdir / "metrics.jsonl"):
        for name, value in row.items():
            cell = [row["step"], value]
            if name.endswith(_CLOCKED) or name.startswith(_LEDGER):
                continue
            if cell not in found.setdefault(name, [])[-1:]:
                found[name].append(cell)
    return {name: _hex(json.dumps(cells).encode()) for name, cells in found.items()}


def _digest(leaf) -> str:
    array = np.ascontiguousarray(leaf)
    return _hex(f"{array.dtype} {array.shape} ".encode() + array.tobytes())


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
