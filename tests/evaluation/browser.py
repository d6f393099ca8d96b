"""Headless Chromium over its DevTools protocol, in real time, so that media play."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.request

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1240,1800",
)  # fmt: skip
PATIENCE = 120.0  # seconds, on a busy machine


def executable():
    """The path of Chromium. Without it the test skips; where CI=true it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "chromium is not installed (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def browse(page: pathlib.Path, profile: pathlib.Path):
    """A tab that shows a file; yields the function that evaluates JavaScript in it."""
    import websocket

    command = [executable(), *FLAGS, f"--user-data-dir={profile}", page.absolute().as_uri()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = wait_for(lambda: _port(profile))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
        with contextlib.closing(
            websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=PATIENCE)
        ) as socket:
            evaluate = _evaluator(socket)
            wait_for(lambda: evaluate("location.href").startswith("file:"))
            wait_for(lambda: evaluate("document.readyState") == "complete")
            yield evaluate
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(condition):
    """The first true value of ``condition()``."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    raise TimeoutError(f"nothing after {PATIENCE:.0f} seconds")


def _port(profile: pathlib.Path):
    """The port that Chromium has chosen, once it has."""
    with contextlib.suppress(OSError, IndexError):
        return (profile / "DevToolsActivePort").read_text().splitlines()[0]
    return None


def _evaluator(socket):
    numbers = iter(range(1, 1_000_000))

    def evaluate(expression: str):
        number = next(numbers)
        arguments = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        call = {"id": number, "method": "Runtime.evaluate", "params": arguments}
        socket.send(json.dumps(call))
        while (answer := json.loads(socket.recv())).get("id") != number:
            continue  # an event
        if "exceptionDetails" in answer.get("result", {}):
            raise RuntimeError(answer["result"]["exceptionDetails"]["text"])
        return answer.get("result", {}).get("result", {}).get("value")

    return evaluate
