"""A whole run: the stages of a config, one after the other, each from where the last one ended."""

from collections.abc import Callable, Sequence

import jax

from mmjax.config import Config
from mmjax.sharding.multihost import on_main
from mmjax.training.environment import write_environment
from mmjax.training.goodput import Ledger
from mmjax.training.hooks import Hook
from mmjax.training.interrupt import Interrupt
from mmjax.training.loop import train
from mmjax.training.stages import Stage, begin_after, expand
from mmjax.training.state import State
from mmjax.training.system import System, build
from mmjax.training.waits import Waits
from mmjax.training.workdir import Workdir


def train_stages(
    config: Config,
    workdir: Workdir,
    command: Sequence[str],
    *,
    preview: Hook | None = None,
    evaluate: Hook | None = None,
    interrupt: Interrupt | None = None,
    waits: Waits | None = None,
    since: float | None = None,
    shortest_step: Callable[[System], float | None] = lambda system: None,
) -> tuple[State, bool]:
    """Trains every stage of a config; a config without stages is one.

    A stage has the folder ``stages/NAME`` of the workdir, which is the folder of a run in its own
    right. Stages that are done are passed over when the run is started again. ``command``, the
    arguments of the verb, is noted in the workdir. ``since`` is when the process
    began, by ``time.monotonic``, and ``shortest_step`` gives the seconds of a system's step at the
    devices' peak: see :class:`mmjax.training.goodput.Ledger`. The other arguments are those of
    :func:`mmjax.training.loop.train`.

    Returns:
      The last state, and whether the run was interrupted.
    """
    stages = expand(config)
    systems = [build(stage.config) for stage in stages]  # mistakes of later stages show at once

    def claim():
        workdir.claim(config)
        write_environment(workdir.path, command)

    on_main("workdir", claim)
    hooks = {"preview": preview, "evaluate": evaluate}
    state = None
    for stage, system in zip(stages, systems, strict=True):
        begin = None if state is None else _after(state, stage, system)
        folder = workdir.stage(stage.name)
        ledger = Ledger(folder.path, since=since, shortest_step=shortest_step(system))
        state, interrupted = train(
            system, folder, begin=begin, interrupt=interrupt, waits=waits, ledger=ledger, **hooks
        )
        since = None  # the next stage begins when this one ends
        if interrupted:
            break
    return state, interrupted


def _after(old: State, stage: Stage, system: System):
    follow = jax.jit(lambda batch, old: begin_after(system, batch, old, stage.init_copy))
    return lambda batch: follow(batch, old)
