"""Several processes as one run: how they start, act as one, and end; a single one by default."""

import atexit
import collections
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

import jax
from jax._src import distributed  # the coordination service has no public face

from mmjax.errors import ToldElsewhere, UserError
from mmjax.sharding.cluster import ASK, find
from mmjax.sharding.peers import Peers, explain_abort

_MOST_PATIENCE = 30.0  # seconds without a sign of life after which a process is lost
_turns: dict[str, Iterator[int]] = collections.defaultdict(itertools.count)


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    limit: float = 300.0,
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
    if not is_main():
        explain_abort(distributed.global_state.coordinator_address, *whoami())
    peers = Peers(_client(), *whoami(), patience)
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


def share(name: str, text: str, limit: float = 600.0) -> list[str]:
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


def on_main(name: str, act: Callable[[], object], limit: float = 600.0) -> None:
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


def _received(key: str, name: str, sender: int, limit: float) -> str:
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
    if isinstance(error, ToldElsewhere):
        code = 2
    elif isinstance(error, (UserError, OSError)):
        peers.fail(f"failed: {' '.join(str(error).split())}")
        code = 2
    else:
        # Where another process was lost, this error is a consequence: give that time to show.
        peers.blame(patience + 5.0)
        peers.fail(f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        code = 1
    atexit.register(os._exit, code)
