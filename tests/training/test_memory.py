import subprocess
import sys

import pytest

# Touches 64 MB twice and prints how many pages the second time had to be given by the system.
SCRIPT = """
import resource
import threading
import numpy as np
from mmjax.training.memory import keep_freed_memory
assert {call}
def touch():
    np.full(16_000_000, 1.0, np.float32)
def second():
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    touch()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=second)
thread.start()
thread.join()
"""


def faults(call):
    command = [sys.executable, "-c", SCRIPT.format(call=call)]
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_freed_memory_is_used_again():
    assert faults("True") > 10_000
    assert faults("keep_freed_memory()") < 1_000
