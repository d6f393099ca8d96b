"""The folder of a run: its config, checkpoints, metrics and samples."""

import pathlib
from collections.abc import Mapping
from typing import Any

from mmjax import config as configs
from mmjax.errors import UserError
from mmjax.files import write_text

# What may change when a run goes on: how long it is and how often it reports.
FREE = (
    "train.steps", "train.log_every", "train.save_every", "train.preview_every",
    "train.evaluate_every", "train.keep", "train.max_bad_steps",
    "train.max_rollbacks", "train.wait_limit", "train.phase_limit", "data.workers",
    "evaluation.", "sampler.",
)  # fmt: skip


class Workdir:
    """Paths of a run and the check that a run is continued with the config it was begun with."""

    def __init__(self, path: pathlib.Path | str):
        """Names the folder; nothing is created yet."""
        self.path = pathlib.Path(path)
        self.config_path = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"

    def stage(self, name: str) -> "Workdir":
        """The folder of a named stage, itself the folder of a run; without a name, this one."""
        return Workdir(self.path / "stages" / name) if name else self

    def claim(self, config: configs.Config) -> None:
        """Creates the folder for ``config``, or checks that it holds a run of the same one.

        Raises:
          UserError: it holds a run of another config, named by the first field that differs.
        """
        text = configs.dumps(config)
        if self.config_path.exists():
            old, new = _flat(self.config()), _flat(configs.loads(text, "--config"))
            for path in sorted(old.keys() | new.keys()):
                if old.get(path) != new.get(path) and not path.startswith(FREE):
                    raise UserError(
                        f"{self.path}: holds a run of another config ({path} is {old.get(path)!r} "
                        f"there and {new.get(path)!r} here); choose another --workdir"
                    )
        write_text(self.config_path, text)

    def config(self) -> dict:
        """The config the run was begun with."""
        if not self.config_path.is_file():
            raise UserError(f"{self.path}: no run here (there is no config.json)")
        return configs.loads(self.config_path.read_text(encoding="utf-8"), str(self.config_path))


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
