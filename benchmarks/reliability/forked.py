"""Work in a process of its own, for one in which JAX has run must not fork."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any


def in_fork(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns, by way of JSON; RuntimeError with its traceback if it fails."""
    near, far = os.pipe()
    if (process := os.fork()) == 0:
        try:
            result = {"value": function(*arguments)}
        except BaseException:
            result = {"error": traceback.format_exc()}
        with os.fdopen(far, "w") as file:
            file.write(json.dumps(result))
        os._exit(0)
    os.close(far)
    with os.fdopen(near) as file:
        found = json.loads(file.read())
    os.waitpid(process, 0)
    if "error" in found:
        raise RuntimeError(found["error"])
    return found["value"]
