"""``mmjax weights``: a run's weights as a folder to pass on, and public weights in and out."""

import argparse
import pathlib

from mmjax.errors import UserError

EXAMPLE = """mmjax weights export --workdir runs/quickstart --to pretrained/bouncing_digits
  mmjax weights export --workdir runs/kl_vae --network autoencoder --to vae
  mmjax weights import stable-diffusion/vae --to imported/vae
  mmjax weights export --weights imported/vae --to vae"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's subcommands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="averaged weights, config, figures and command of a run, in one folder; or one "
        "network, or an imported one, in its public layout",
    )
    source = export.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", metavar="W", help="folder of the run")
    source.add_argument("--weights", metavar="W", help="folder that import made")
    export.add_argument("--to", required=True, metavar="DIR", help="new or older weights folder")
    export.add_argument("--half", action="store_true", help="store float16, half the size")
    export.add_argument(
        "--network", metavar="NAME", help="this network of the run alone, in its public layout"
    )
    export.add_argument(
        "--layout", metavar="CLASS", help="the public class, for networks that have several"
    )
    reading = commands.add_parser(
        "import",
        help="weights in the layout of diffusers or transformers, or all known parts of a pipeline",
    )
    reading.add_argument("directory", metavar="DIR", help="public folder, or safetensors file")
    reading.add_argument("--to", required=True, metavar="W", help="folder to make")


def run(options: argparse.Namespace) -> None:
    """Imports or exports, and prints what."""
    if options.command == "import":
        _import(pathlib.Path(options.directory), pathlib.Path(options.to))
    elif options.weights or options.network:
        _export_public(options)
    else:
        _export_run(options)


def _import(directory: pathlib.Path, to: pathlib.Path) -> None:
    """One public folder, or every part of a pipeline whose class is known."""
    from mmjax.interop.architecture import TABLE, class_name
    from mmjax.interop.folder import CONFIG, PIPELINE, read_config

    if not (directory / PIPELINE).is_file() or (directory / CONFIG).is_file():
        print(_import_one(directory, to))
        return
    parts = sorted(path.parent for path in directory.glob(f"*/{CONFIG}"))
    known = [part for part in parts if class_name(read_config(part), str(part)) in TABLE]
    for part in known:
        print(_import_one(part, to / part.name))
    others = [part.name for part in parts if part not in known]
    if others:
        print(f"left out, for their classes are not known: {', '.join(others)}")
    if not known:
        raise UserError(f"{directory}: no part has a class that is known")


def _import_one(directory: pathlib.Path, to: pathlib.Path) -> str:
    """Imports one folder; returns the report."""
    from mmjax import tree
    from mmjax.interop import load_pretrained
    from mmjax.interop.folder import CONFIG
    from mmjax.interop.module_folder import save_module
    from mmjax.interop.pretrained import EXTRAS

    module, variables = load_pretrained(directory)
    save_module(module, variables, to)
    used = {name: part for name, part in variables.items() if name != EXTRAS}
    types = sorted({str(leaf.dtype) for leaf in tree.flatten(used).values()})
    extras = sorted(variables[EXTRAS].keys() - {CONFIG})
    unexpected = f"{len(extras)}, carried along: {', '.join(extras)}" if extras else "none"
    return (
        f"{to}: {type(module).__name__}, {tree.count(used):,} parameters in "
        f"{len(tree.flatten(used))} arrays of {', '.join(types)}\n"
        f"missing keys: none\nunexpected keys: {unexpected}"
    )


def _export_public(options: argparse.Namespace) -> None:
    """One network in the layout of diffusers or transformers."""
    from mmjax.interop import save_pretrained
    from mmjax.interop.module_folder import load_module

    if options.half:
        raise UserError("--half: public layouts keep the type of each tensor")
    if options.weights and options.network:
        raise UserError("--network: an imported folder holds one network; leave the flag out")
    if options.weights:
        module, variables = load_module(options.weights)
    else:
        module, variables = _network(pathlib.Path(options.workdir), options.network)
    save_pretrained(module, variables, options.to, architecture=options.layout)
    print(f"{options.to}: {type(module).__name__} in its public layout")


def _network(workdir: pathlib.Path, name: str):
    """One network of a run with its averaged variables."""
    from mmjax.builder import nearest
    from mmjax.training.restore import restore
    from mmjax.training.state import averaged

    system, state = restore(workdir, data=False)
    if name not in system.networks:
        raise UserError(f"--network {name}: {workdir} has none{nearest(name, system.networks)}")
    params = averaged(state.params, state.ema)[name]
    return system.networks[name], {"params": params, **state.mutable.get(name, {})}


def _export_run(options: argparse.Namespace) -> None:
    """A run as a weights folder, with its size and figures."""
    from mmjax.training.environment import read_environment
    from mmjax.training.judging import RESULTS
    from mmjax.training.restore import restore
    from mmjax.training.weights import TENSORS, save

    workdir = pathlib.Path(options.workdir)
    system, state = restore(workdir, data=False)
    metrics = _metrics(workdir / RESULTS, int(state.step))
    command = read_environment(workdir).get("command", "")
    save(options.to, system, state, half=options.half, metrics=metrics, command=command)
    size = (pathlib.Path(options.to) / TENSORS).stat().st_size
    print(f"{options.to}: step {int(state.step)}, {size / 2**20:.1f} MiB")
    if not metrics:
        print("it holds no figures: run mmjax evaluate on the run first, then export again")


def _metrics(path: pathlib.Path, step: int) -> dict:
    """The run's evaluation, if it is of this step."""
    from mmjax.files import read_json

    if not path.is_file():
        return {}
    found = read_json(path)
    judged = {model["step"] for model in found["models"].values()}
    return found if step in judged else {}
