"""Saving and restoring the state: asynchronous, atomic, the newest good step first."""

import dataclasses
import logging
import pathlib

import jax
import orbax.checkpoint as ocp

from mmjax.errors import UserError
from mmjax.training.state import State


class Checkpoints:
    """The checkpoints of a workdir.

    Saving returns once the arrays are copied; writing goes on behind, and a step folder gets its
    name only when it is complete. An error of the writing surfaces at the next call.
    """

    def __init__(self, folder: pathlib.Path, keep: int):
        """Opens or creates ``folder``; the newest ``keep`` steps are kept."""
        logging.getLogger("absl").setLevel(logging.ERROR)
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: State) -> None:
        """Begins to save ``state`` under its step; does nothing if that step is there already."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        with self._readable_errors(f"step {step}"):
            self._manager.save(step, args=ocp.args.StandardSave(_as_dict(state)))

    def steps(self) -> list[int]:
        """The steps that are complete, oldest first."""
        return sorted(self._manager.all_steps())

    def restore(self, abstract: State, step: int) -> State:
        """The state saved at ``step``, in the structure, shapes and dtypes of ``abstract``."""
        target = jax.tree.map(_on_device, _as_dict(abstract))
        try:
            restored = self._manager.restore(step, args=ocp.args.StandardRestore(target))
        except Exception as error:  # Orbax raises many types for damaged files
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
            raise UserError(
                f"{self.folder / str(step)}: checkpoint cannot be restored ({reason}); "
                "remove that folder to go on from the step before"
            ) from error
        return State(**restored)

    def restore_newest(self, abstract: State, warn) -> State | None:
        """The newest state that can be restored; ``warn`` gets a line for each that cannot.

        Returns None where there is no checkpoint at all.

        Raises:
          UserError: there are checkpoints, and none of them is readable.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.restore(abstract, step)
            except UserError as error:
                last = error
                warn(str(error))
        if steps:
            raise UserError(
                f"{self.folder}: none of its {len(steps)} checkpoints is readable"
            ) from last
        return None

    def drop_after(self, step: int) -> None:
        """Deletes steps newer than ``step``: damaged ones that were stepped over."""
        for newer in [s for s in self.steps() if s > step]:
            self._manager.delete(newer)

    def wait(self) -> None:
        """Returns when everything is on disk."""
        with self._readable_errors("writing"):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and closes."""
        self.wait()
        self._manager.close()

    def _readable_errors(self, what: str):
        return _disk_errors(self.folder, what)


class _disk_errors:
    """Turns an OSError of a save into one line; the steps already on disk stay as they are."""

    def __init__(self, folder: pathlib.Path, what: str):
        self.folder, self.what = folder, what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError) or "No space left" in str(error):
            raise UserError(
                f"{self.folder}: {self.what} could not be saved ({error}); earlier steps are intact"
            ) from error


def _as_dict(state: State) -> dict:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _on_device(leaf) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(
        jax.devices()[0]
    )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
