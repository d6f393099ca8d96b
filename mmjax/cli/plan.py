"""``mmjax plan``: whether a config fits on TPUs that are not here, and how fast it can be there."""

import argparse
import json
import pathlib

from mmjax.errors import UserError

EXAMPLE = "mmjax plan --config configs/av/ltx2.py --topology v6e:16x16 --out plans/ltx2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags; ``--config.field=value`` overrides any field."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE.py[:variant]",
        help="a config; --config.field=value overrides any of its fields")  # fmt: skip
    add("--topology", required=True, metavar="CHIP:AxB", help="a slice, such as v5p:4x4x8")
    add("--mesh", action="append", default=[], metavar="AXIS=N",
        help="devices along an axis, in place of the config's; may be repeated")  # fmt: skip
    add("--sweep", type=int, nargs="?", const=12, default=0, metavar="N",
        help="compile up to N (12) meshes, batches and remat policies, ranked")  # fmt: skip
    add("--out", metavar="D", help="folder for plan.json, plan.txt and a picture of each stage")


def run(options: argparse.Namespace) -> int:
    """Prints the plan; exit code 1 if training does not fit."""
    from mmjax.planning.process import plan
    from mmjax.planning.show import picture, table

    choice = {
        "config": options.config, "topology": options.topology, "mesh": _mesh(options.mesh),
        "overrides": list(options.overrides),
    }  # fmt: skip
    found = plan(choice, options.sweep)
    host = found["host"]
    text = "\n\n".join(table(stage) for stage in found["plans"]) + (
        f"\n\nplanned in {host['seconds']:.0f} s ({host['cpu_seconds']:.0f} s of CPU, "
        f"{host['peak_bytes'] / 2**30:.1f} GiB of this machine's memory)"
    )
    print(text)
    if options.out:
        out = pathlib.Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "plan.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (out / "plan.txt").write_text(text + "\n", encoding="utf-8")
        for stage in found["plans"]:
            picture(stage).save(out / f"{stage['stage'] or 'plan'}.png")
    return 0 if all(stage["train"]["fits"] for stage in found["plans"]) else 1


def _mesh(pairs: list[str]) -> dict[str, int]:
    """``axis=n`` pairs as numbers."""
    mesh = {}
    for pair in pairs:
        name, _, size = pair.partition("=")
        if not size.lstrip("-").isdigit():
            raise UserError(f"--mesh {pair}: expected AXIS=N, such as fsdp=16")
        mesh[name] = int(size)
    return mesh
