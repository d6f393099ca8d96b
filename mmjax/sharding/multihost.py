"""Several processes as one run: how they start, act as one, and end; a single one by default."""

import atexit
import collections
import contextlib
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax._src import distributed  # the coordination service has no public face
from jax.experimental import multihost_utils

from mmjax.errors import INTERRUPTED, MISTAKE, ToldElsewhere, UserError
from mmjax.sharding.cluster import ASK, find
from mmjax.sharding.peers import LOST, Peers, explain_abort

_MOST_PATIENCE = 30.0  # seconds without a sign of life after which a process is lost
_turns: dict[str, Iterator[int]] = collections.defaultdict(itertools.count)


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    limit: float | int = 300.0,
) -> Iterator[Peers | None]:
    """Joins the other processes of the run, before anything is computed, and leaves with them.

    Args:
      coordinator: see :func:`mmjax.sharding.cluster.find`, like the next two.
      processes: how many there are.
      process: which one this is.
      limit: seconds, for the others to come and for anything they agree on.

    Yields:
      The others, or None where there are none.

    Raises:
      UserError: the flags make no sense together.
    """
    cluster = find(os.environ, coordinator, processes, process)
    if cluster is None:
        yield None
        return
    patience = min(_MOST_PATIENCE, limit / 4)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # JAX ends a process without a word of ours where its own limits pass: they come later.
    later = {
        "initialization_timeout": int(limit) + 60,
        "heartbeat_timeout_seconds": int(2 * patience) + 30,
    }
    if cluster.coordinator == ASK:
        jax.distributed.initialize(**later)
    else:
        jax.distributed.initialize(
            cluster.coordinator, cluster.processes, cluster.process,
            cluster_detection_method="deactivate", **later,
        )  # fmt: skip
    jax.devices()  # all ask for them now; later, one that acts alone would wait for the others
    if jax.default_backend() == "cpu":
        # Process 0 alone would find its programs there, and gloo waits 30 s for the others.
        jax.config.update("jax_enable_compilation_cache", False)
    peers = Peers(_client(), *whoami(), patience)
    if not is_main():
        explain_abort(distributed.global_state.coordinator_address, peers)
    try:
        yield peers
        share("leave", "", limit)
    except BaseException as error:
        _leave_alone(peers, error, patience)
        raise
    peers.close()
    jax.distributed.shutdown()


def whoami() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    state = distributed.global_state
    return state.process_id, state.num_processes or 1


def is_main() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return whoami()[0] == 0


def say_once(line: str) -> None:
    """Prints a line on process 0 alone."""
    if is_main():
        print(line, flush=True)


def own(path: pathlib.Path) -> pathlib.Path:
    """A path for this process alone: ``x.jsonl`` on process 0, ``x.3.jsonl`` on process 3."""
    process, _ = whoami()
    return path.with_suffix(f".{process}{path.suffix}") if process else path


def fetch(array: jax.Array) -> np.ndarray:
    """All of an array, on every process; all must ask for it where it is shared out over them."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def share(name: str, text: str, limit: float | int = 600.0) -> list[str]:
    """Every process's text, in the order of the processes; nothing runs on a device.

    All processes must call it, with the same name, equally often.

    Raises:
      UserError: some process has not called it within ``limit`` seconds.
    """
    process, processes = whoami()
    if processes == 1:
        return [text]
    place = f"mmjax/share/{name}/{next(_turns[name])}"
    _client().key_value_set(f"{place}/{process}", text)
    return [_received(f"{place}/{other}", name, other, limit) for other in range(processes)]


def on_main(name: str, act: Callable[[], object], limit: float | int = 600.0) -> None:
    """Runs ``act`` on process 0 while the others wait; its mistake is a mistake of all.

    Raises:
      UserError: ``act`` has raised one, or has not ended within ``limit`` seconds.
    """
    process, processes = whoami()
    place = f"mmjax/main/{name}/{next(_turns[f'main/{name}'])}"
    if process:
        if mistake := _received(place, name, 0, limit):
            raise ToldElsewhere(mistake)
        return
    try:
        act()
    except (UserError, OSError) as error:
        if processes > 1:
            _client().key_value_set(place, str(error) or repr(error))
        raise
    if processes > 1:
        _client().key_value_set(place, "")


def _client():
    return distributed.global_state.client


def _received(key: str, name: str, sender: int, limit: float | int) -> str:
    try:
        return _client().blocking_key_value_get(key, int(limit * 1000))
    except jax.errors.JaxRuntimeError as error:
        process, processes = whoami()
        raise UserError(
            f"process {process} of {processes}: {name}: process {sender} did not answer within "
            f"{limit:g} s"
        ) from error


def _leave_alone(peers: Peers, error: BaseException, patience: float) -> None:
    """Tells the others, and has this process end without waiting for them, as JAX would."""
    line = " ".join(str(error).split())
    mistake = isinstance(error, (UserError, OSError))
    if isinstance(error, ToldElsewhere):
        code = MISTAKE
    elif mistake and not _from_jax(error):
        code = MISTAKE
        peers.fail(f"failed: {line}", code)
    elif isinstance(error, KeyboardInterrupt):
        code = INTERRUPTED
        peers.fail("was interrupted", code)
    else:
        # Where another process was lost, this error is a consequence: give that time to show.
        peers.blame(patience + 5.0)
        code = LOST if mistake else 1
        peers.fail(f"failed: {type(error).__name__}: {line[:300]}", code)
    atexit.register(_exit, code)


def _from_jax(error: BaseException | None) -> bool:
    """Whether it goes back to an error of JAX's, such as of a collective or of its service."""
    return error is not None and (
        isinstance(error, jax.errors.JaxRuntimeError) or _from_jax(error.__cause__)
    )


def _exit(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)
