"""``mmjax evaluate``: the figures of a model beside those of real data, which show their scale."""

import argparse
import dataclasses
import json
import pathlib
import sys

from mmjax.cli import models
from mmjax.cli.sample import positive
from mmjax.errors import UserError

EXAMPLE = (
    "mmjax evaluate --workdir runs/quickstart --also shipped=pretrained/bouncing_digits --clips 64"
)
THIS, UNTRAINED = "this model", "untrained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    models.add_arguments(parser)
    add = parser.add_argument
    add("--name", default=THIS, help=f"what the table calls the model (default: {THIS})")
    add("--also", action="append", default=[], metavar="NAME=DIR",
        help="another run or weights folder on the same clips; may be repeated")  # fmt: skip
    add("--tasks", default="", metavar="A,B", help="tasks of the config (default: all)")
    add("--sets", default="", metavar="A,B", help="held-out sets of the config (default: all)")
    add("--clips", type=positive, metavar="N", help="clips per set (default: the config's)")
    add("--seed", type=int, default=0, metavar="S", help="of the noise (default 0)")
    add("--out", metavar="FILE", help="JSON (default with --workdir: evaluation.json in it)")


def run(options: argparse.Namespace) -> None:
    """Evaluates, prints the table and writes the figures."""
    from mmjax.evaluation.table import Results
    from mmjax.files import write_text
    from mmjax.training.held_out import held_out_sets
    from mmjax.training.judging import RESULTS, Examiner, describe
    from mmjax.training.restore import untrained

    judged = {options.name: models.load(options, data=True), **_others(options)}
    system = judged[options.name].system
    tasks = system.evaluation.chosen(_names(options.tasks))
    rows = []

    def note(found) -> None:
        for row in found:
            rows.append(row)
            place = f"{row.model}, {row.task or 'no task'}, {row.set}"
            print(f"judged {row.clips} clips: {place}", file=sys.stderr)

    chosen = {"clips": options.clips, "names": _names(options.sets)}
    examiner = Examiner(system, held_out_sets(system, **chosen), tasks, options.seed)
    note(examiner.model(UNTRAINED, untrained(system)))
    for name, model in judged.items():
        if model.system is not system:
            peer = _comparable(name, model.system, system)
            examiner = Examiner(peer, held_out_sets(peer, **chosen), tasks, options.seed)
        note(examiner.model(name, model.state))
    if system.evaluation.metrics:
        note(examiner.real())
    results = Results(
        rows=tuple(rows),
        metrics={name: metric.spec_id for name, metric in system.evaluation.metrics.items()},
        models={name: describe(model.system, model.state) for name, model in judged.items()},
        seed=options.seed,
        columns=system.evaluation.columns,
    )
    print(results.text())
    out = options.out
    if out is None and options.workdir:
        out = str(pathlib.Path(options.workdir) / RESULTS)
    if out:
        write_text(out, json.dumps(results.to_json(), indent=1) + "\n")
        print(f"\n{out}")


def _others(options: argparse.Namespace) -> dict[str, models.Model]:
    from mmjax.cli.given import pairs

    others = pairs("--also", options.also)
    for name in others:
        if name in (options.name, UNTRAINED):
            raise UserError(f"--also {name}: the table has a row of that name; choose another")
    return {name: models.load_any(folder) for name, folder in others.items()}


def _comparable(name: str, peer, system):
    """``peer`` with the clips and metrics of ``system``, on which it is judged."""
    for field, modality in system.modalities.items():
        if peer.modalities.get(field) != modality:
            raise UserError(f"--also {name}: its {field} is not that of the first model")
    data = dataclasses.replace(peer.data, evaluation=system.data.evaluation)
    return dataclasses.replace(peer, data=data, evaluation=system.evaluation)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()
