"""What a run does now and then between two steps, such as previews and evaluations."""

from collections.abc import Callable, Mapping

from mmjax.training.state import State
from mmjax.training.system import System, Train
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer

# Called with the state between two steps: (system, state, step, folder, writer).
Hook = Callable[[System, State, int, Workdir, Writer], None]


class Hooks:
    """The hooks ``evaluate`` and ``preview`` of a run, and when they are due."""

    def __init__(self, train: Train, hooks: Mapping[str, Hook | None]):
        """Takes the hooks that there are, each every ``train.NAME_every`` steps."""
        every = {"evaluate": train.evaluate_every, "preview": train.preview_every}
        self._last = train.steps
        self._hooks = {name: (hook, every[name]) for name, hook in hooks.items() if hook}

    def due(self, step: int, writer: Writer) -> dict[str, Hook]:
        """The hooks to call at ``step``; after a resume, only those that did not finish."""
        return {
            name: hook
            for name, (hook, every) in self._hooks.items()
            if every and step and (step % every == 0 or step >= self._last)
            and writer.latest.get(finished(name)) != step
        }  # fmt: skip


def finished(hook: str) -> str:
    """The scalar that says that a hook has run to its end at a step."""
    return f"{hook}_seconds"
