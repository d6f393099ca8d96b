"""Memory that a step frees stays with the process, so that the next need not ask for it anew."""

import ctypes
import sys

# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Has the C library reuse large blocks in place of returning them to the system; false if not.

    XLA asks for the temporary buffers of a computation each time it runs. glibc by default maps
    large ones afresh, and the system then fills them with zeros page by page: a quarter of the CPU
    time of a training step of hundreds of megabytes. To be called before JAX starts its threads,
    each of which would otherwise have an arena of its own. Elsewhere than on glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    return all([mallopt(parameter, value) == 1 for parameter, value in settings])
