"""What watches over a run from outside the loop."""

import subprocess
import sys

SCRIPT = """
import contextlib, time
from mmjax.training.control import watched

with watched(60, 60, contextlib.nullcontext()) as (waits, interrupt):
    print("runs", flush=True)
    while not interrupt.requested:
        time.sleep(0.01)
print("leaves", flush=True)
time.sleep(1)
print("is gone")
"""


def test_a_process_that_is_asked_again_while_it_leaves_ends_with_code_0():
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    with process:
        for word in ("runs\n", "leaves\n"):
            assert process.stdout.readline() == word
            process.terminate()
        assert process.stdout.read() == "is gone\n"
    assert process.returncode == 0
