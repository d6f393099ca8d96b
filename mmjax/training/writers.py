"""Metrics to JSONL, always, and to TensorBoard."""

import json
import math
import pathlib
from collections.abc import Mapping

import numpy as np

from mmjax.files import write_text
from mmjax.sharding.multihost import is_main, share


def read_metrics(path: pathlib.Path) -> list[dict]:
    """The lines of a metrics file; a last line cut short by a crash is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class Writer:
    """Appends scalars to ``metrics.jsonl`` and to TensorBoard event files beside it.

    Attributes:
      latest: by the name of a scalar, the newest step that has it.
    """

    def __init__(self, folder: pathlib.Path, *, step: int):
        """Opens the files for a run that stands at ``step``; later lines are cut off."""
        from tensorboardX import SummaryWriter

        path = folder / "metrics.jsonl"
        kept = read_metrics(path) if is_main() else []
        kept = [row for row in kept if row["step"] <= step]
        latest = {name: row["step"] for row in kept for name in row}
        # All go by what the first process has read, who writes for all.
        self.latest = json.loads(share("metrics", json.dumps(latest))[0])
        self._file = self._board = None
        if not is_main():
            return
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line; NaN and infinity are written as null, for JSON has neither."""
        row = {k: (v if math.isfinite(v) else None) for k, v in values.items()}
        self.latest.update(dict.fromkeys(row, step))
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step, **row}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Adds an ``[H, W, 3]`` uint8 picture to TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Flushes and closes both."""
        if self._file is not None:
            self._file.close()
            self._board.close()
