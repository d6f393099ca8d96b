"""``mmjax systems``: every config with its family, its full size, and what its tests last said."""

import argparse
import pathlib

from mmjax.cli.gates import RESULTS, columns, gates_of, read_cases
from mmjax.errors import UserError

EXAMPLE = f"pytest --junitxml={RESULTS}; mmjax systems"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    add = parser.add_argument
    add("--configs", default="configs", metavar="D", help="folder of configs (default: configs)")
    add("--results", default=RESULTS, metavar="FILE",
        help=f"JUnit XML of the last test run (default: {RESULTS})")  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Prints the table, then why gates did not run or failed."""
    from mmjax.evaluation.table import align

    root = pathlib.Path(options.configs)
    paths = sorted(path for path in root.rglob("*.py") if "ablations" not in path.parts)
    if not paths:
        raise UserError(f"{root}: no configs there; give --configs")
    results = pathlib.Path(options.results)
    cases = read_cases(results) if results.is_file() else None
    configs = {path: str(path.relative_to(root).with_suffix("")) for path in paths}
    names = columns(cases, configs.values())
    rows, reasons = [], []
    for path, config in configs.items():
        family = config.rpartition("/")[0] or "-"
        try:
            size, modules = measure(path)
        except UserError as error:
            size, modules = "-", set()
            reasons.append(f"{config}: {error}")
        gates = gates_of(config, modules | {path.stem}, names, cases)
        rows.append([config, family, size, *(gate.mark for gate in gates.values())])
        reasons += [f"{config}, {name}: {gate.why}" for name, gate in gates.items() if gate.why]
    headings = [name.replace("_", " ") for name in names]
    print(align([["config", "family", "parameters", *headings], *rows]))
    if cases is None:
        print(f"\n-: no results in {results}; make them with pytest --junitxml={results}")
    if reasons:
        print("\n" + "\n".join(reasons))


def measure(path: pathlib.Path) -> tuple[str, set[str]]:
    """The number of parameters of the full form, by shapes alone, and the modules it is made of.

    Raises UserError for a config that cannot be built.
    """
    from mmjax import config as configs
    from mmjax import tree
    from mmjax.training.restore import abstract_state, without_data
    from mmjax.training.system import build

    config = configs.load(str(path))
    count = tree.count(abstract_state(build(without_data(config))).params)
    return f"{count:,}", _modules(configs.plain(config))


def _modules(node) -> set[str]:
    """The last names of the modules behind every ``_target_``, such as ``transformer``."""
    found = set()
    for name, value in node.items():
        if name == "_target_":
            found.add(value.partition(":")[0].rpartition(".")[2])
        elif isinstance(value, dict):
            found |= _modules(value)
    return found
