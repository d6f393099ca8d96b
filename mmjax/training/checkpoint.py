"""Saving and restoring the state: asynchronous, atomic, checked, the newest good step first."""

import concurrent.futures
import contextlib
import dataclasses
import json
import logging
import pathlib
import shutil
from collections.abc import Callable, Iterator

import jax
import orbax.checkpoint as ocp

from mmjax.errors import UserError
from mmjax.sharding.multihost import is_main, on_main, share
from mmjax.training import manifest
from mmjax.training.manifest import Damaged
from mmjax.training.state import State

_TEMPORARY = "*.orbax-checkpoint-tmp*"


class Checkpoints:
    """The checkpoints of a workdir: a folder per step, and its manifest beside it.

    Saving returns once the arrays are copied to the host. A thread goes on from there: it writes
    them, reads every file once more for the manifest, and only then removes what is older than the
    ``keep`` newest. (Orbax's own callback runs before the folder has its name, on the first process
    alone.) An error of that thread surfaces at the next call.
    """

    def __init__(self, folder: pathlib.Path, keep: int):
        """Opens or creates ``folder``; the newest ``keep`` steps are kept."""
        logging.getLogger("absl").setLevel(logging.ERROR)
        self.folder, self.keep = folder.absolute(), keep
        self.folder.mkdir(parents=True, exist_ok=True)
        self._orbax = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._finishing: concurrent.futures.Future | None = None

    def save(self, state: State) -> None:
        """Begins to save ``state`` under its step; does nothing if that step is there already.

        Raises:
          UserError: it cannot be written, or what was saved before could not.
        """
        self.wait()
        folder = self._path(int(state.step))
        # On a network's disk one process may not see yet what another does: the first one decides.
        if share("checkpoints that are there", str(folder.exists()))[0] == str(True):
            return
        arrays = _as_dict(state)
        if jax.process_count() == 1:
            # Orbax copies too, but computes for 20 ms before it lets go.
            arrays = jax.block_until_ready(_on_host(arrays))
            self._finishing = self._thread.submit(self._write, folder, arrays)
        else:
            # Processes meet while Orbax begins, which must not happen beside a step of theirs.
            self._begin(folder, arrays)
            self._finishing = self._thread.submit(self._finish, folder)

    def raise_errors(self) -> None:
        """Raises what has gone wrong in saving until now; never waits."""
        if self._finishing is not None and self._finishing.done():
            self.wait()

    def wait(self) -> None:
        """Returns when everything is on disk, with its manifest."""
        if self._finishing is not None:
            finishing, self._finishing = self._finishing, None
            finishing.result()

    def close(self) -> None:
        """Waits and closes."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            self._orbax.close()

    def steps(self) -> list[int]:
        """The steps that have a folder, oldest first."""
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def restore(self, abstract: State, step: int) -> State:
        """The state saved at ``step``, in the structure, shapes and dtypes of ``abstract``.

        Raises:
          Damaged: a file of it is not what was written.
          UserError: it holds other arrays than ``abstract``; the message names the first.
        """
        folder = self._path(step)
        manifest.verify(folder)
        target = jax.tree.map(_on_device, _as_dict(abstract))
        try:
            found = _leaves(self._orbax.metadata(folder).item_metadata.tree)
            _require_same(folder, found, _leaves(target))
            restored = self._orbax.restore(folder, args=ocp.args.StandardRestore(target))
        except UserError:
            raise
        except Exception as error:  # Orbax raises many types
            raise Damaged(f"{folder}: cannot be restored ({_first_line(error)})") from error
        return State(**restored)

    def restore_newest(
        self, abstract: State, warn: Callable[[str], object], *, at_most: int | None = None
    ) -> State | None:
        """The newest state that can be trusted; ``warn`` gets a line for each that cannot.

        Args:
          abstract: its structure, shapes and dtypes.
          warn: called with what is wrong with a step that is stepped over.
          at_most: the newest step that is wanted; None for any.

        Returns:
          None where there is no such checkpoint, but for ones that were never finished.

        Raises:
          UserError: there are checkpoints, and none of them can be used.
        """
        self.wait()
        steps = json.loads(share("steps of the checkpoints", json.dumps(self.steps()))[0])
        lost = []
        for step in reversed([s for s in steps if at_most is None or s <= at_most]):
            try:
                return self.restore(abstract, step)
            except Damaged as error:
                warn(f"{error}; step {step} is not used")
                if not manifest.unfinished(self._path(step)):
                    lost.append(error)
        if lost:
            raise UserError(
                f"{self.folder}: none of its {len(lost)} checkpoints can be used; the newest: "
                f"{lost[0]}"
            )
        return None

    def drop_after(self, step: int) -> None:
        """Deletes steps newer than ``step``, which were stepped over, and what never was one."""

        def drop():
            for path in self.folder.glob(_TEMPORARY):
                shutil.rmtree(path, ignore_errors=True)
            for path in self.folder.glob(manifest.TEMPORARY):
                path.unlink(missing_ok=True)
            self._delete([newer for newer in self.steps() if newer > step])

        on_main("removal of checkpoints", drop)

    def _write(self, folder: pathlib.Path, arrays: dict) -> None:
        self._begin(folder, arrays)
        self._finish(folder)

    def _begin(self, folder: pathlib.Path, arrays: dict) -> None:
        with _one_line(folder):
            manifest.begin(folder)
            self._orbax.save(folder, args=ocp.args.StandardSave(arrays))

    def _finish(self, folder: pathlib.Path) -> None:
        with _one_line(folder):
            self._orbax.wait_until_finished()
            manifest.seal(folder)
            if is_main():
                complete = [step for step in self.steps() if manifest.sealed(self._path(step))]
                kept = complete[-self.keep :]
                self._delete([step for step in self.steps() if step < kept[0]])

    def _delete(self, steps: list[int]) -> None:
        for step in steps:
            manifest.remove(self._path(step))
            shutil.rmtree(self._path(step))

    def _path(self, step: int) -> pathlib.Path:
        return self.folder / str(step)


@contextlib.contextmanager
def _one_line(folder: pathlib.Path) -> Iterator[None]:
    """Turns what goes wrong in saving into one line; earlier steps are intact in any case."""
    try:
        yield
    except Exception as error:  # a full disk alone comes as several types
        raise UserError(
            f"{folder}: could not be saved ({_first_line(error)}); earlier steps are intact"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0][:200]


def _require_same(folder: pathlib.Path, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Names the first array that differs; Orbax itself would cast it to the type that is wanted."""
    for path in [*wanted, *found]:
        there, here = found.get(path), wanted.get(path)
        if there != here:
            raise UserError(
                f"{folder}: {path} is {there or 'missing'} there, and this config "
                f"{f'makes it {here}' if here else 'has none'}; was it saved with another config?"
            )


def _leaves(tree) -> dict[str, str]:
    """Dtype and shape of the arrays of nested dictionaries and lists, by path."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype} {list(leaf.shape)}"
        for path, leaf in found
        if hasattr(leaf, "shape")
    }


def _as_dict(state: State) -> dict:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _on_host(arrays: dict) -> dict:
    """A copy in the memory of the host, sharded as before; the arrays may then be donated."""
    where = jax.tree.map(lambda x: x.sharding.with_memory_kind("pinned_host"), arrays)
    return jax.device_put(arrays, where, may_alias=False)


def _on_device(leaf) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(
        jax.devices()[0]
    )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
