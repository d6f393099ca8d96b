"""``mmjax data write``: a config's records as ArrayRecord files, or as a data set of TFDS."""

import argparse
import operator
from typing import Any, SupportsIndex

from mmjax.errors import UserError


def write(options: argparse.Namespace) -> None:
    """Writes a split's records as they come from their source, before any codec."""
    import tqdm

    from mmjax import config as configs
    from mmjax.data import array_record
    from mmjax.training.system import build

    system = build(configs.load(options.config, options.overrides))
    with tqdm.tqdm(unit="record", dynamic_ncols=True, delay=1) as bar:
        if options.tfds:
            _write_tfds(system, options, bar)
            return
        first = First(source_of(system, options.split), options.count, bar)
        left_out = array_record.write(first, options.to)
    for _, reason in left_out:
        print(f"left out: {reason}")
    print(f"{options.to}: {len(first) - len(left_out)} records, {len(left_out)} left out")
    print(
        f"train on them with --config.data.train=\"{{'_target_': "
        f"'mmjax.data.array_record:ArrayRecords', 'path': '{options.to}'}}\""
    )


def source_of(system: Any, split: str) -> Any:
    """The source of a split of the config's data."""
    source = getattr(system.data, split)
    if source is None:
        raise UserError(f"config.data.{split}: this config declares none")
    return source


class First:
    """The first ``count`` records of a source, or all; moves a bar with every one that is read."""

    def __init__(self, source: Any, count: int | None, bar: Any):
        """None is all."""
        self.source, self.bar = source, bar
        self.count = len(source) if count is None else min(count, len(source))
        bar.total = (bar.total or 0) + self.count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: SupportsIndex) -> Any:
        self.bar.update()
        return self.source[operator.index(index)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)  # its facts and its records' names


def _write_tfds(system: Any, options: argparse.Namespace, bar: Any) -> None:
    """Builds both splits: a TFDS data set is built whole."""
    from mmjax.data import tfds

    sources = {"train": system.data.train, "evaluation": system.data.evaluation}
    splits = {
        name: First(source, options.count, bar)
        for name, source in sources.items()
        if source is not None
    }
    tfds.build(splits, options.tfds, options.to)
    sizes = " and ".join(f"{len(split)} of {name}" for name, split in splits.items())
    print(f"{options.to}: the data set {options.tfds!r} of TFDS with {sizes}")
