"""The process that plans: reads a request from its input, writes the answer to a file.

It is a process of its own so that its compiler for TPUs, its memory and its settings are too.
"""

import concurrent.futures
import dataclasses
import json
import pathlib
import resource
import sys
import time
from typing import Any

from mmjax.errors import UserError


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The plans of a request's stages."""
    from mmjax.planning.choice import Choice, stages

    fields = request["choice"]
    choice = Choice(**fields | {"overrides": tuple(fields.get("overrides", ()))})
    plans = []
    for stage in stages(choice):
        plans.append(_plan(dataclasses.replace(choice, stage=stage), request["sweep"]))
    return {"plans": plans}


def _plan(choice, most: int) -> dict[str, Any]:
    from mmjax.planning import abstract, compile, remedy, sweep
    from mmjax.planning.choice import facts, placed, plain

    placement, where = placed(choice)
    tasks = abstract.training(placement), abstract.sampling(placement)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # a compiler uses one core mostly
        training, sampling = (
            task and pool.submit(compile.report, task, placement, where) for task in tasks
        )
        report = training.result()
        plan = facts(choice, report, placement, where)
        plan["sample"] = sampling and plain(sampling.result())
    plan["stage"] = choice.stage
    if not report.fits:
        plan["remedy"] = remedy.find(choice, placement, where.chip.memory)
    if most:
        plan["sweep"] = sweep.sweep(choice, placement, where.chip.memory, most)
    return plan


def main() -> None:
    """Answers the request on standard input in the file that the first argument names."""
    began = time.perf_counter()
    try:
        found = answer(json.load(sys.stdin))
    except UserError as error:
        found = {"error": str(error)}
    used = resource.getrusage(resource.RUSAGE_SELF)
    found["host"] = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
