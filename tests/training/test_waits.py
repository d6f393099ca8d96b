"""Waits have names and limits; one that never ends, ends the process."""

import subprocess
import sys
import textwrap
import time

import pytest

from mmjax.training.waits import Waits


def test_the_innermost_wait_is_the_phase_and_every_change_is_told():
    told = []
    with Waits(60, 600) as waits:
        waits.observe = told.append
        assert waits.phase == ""
        with waits("evaluate", phase=True):
            with waits("data"):
                assert waits.phase == "data"
            assert waits.phase == "evaluate"
        with pytest.raises(KeyError), waits("step"):
            raise KeyError
    assert told == ["evaluate", "data", "evaluate", "", "step", ""]


def hang(body: str) -> tuple[int, str, float]:
    """How a process ends that runs ``body``: its exit code, its last words, and its seconds."""
    lines = ["import re, time", "from mmjax.training.waits import Waits"]
    lines += ["with Waits(1, 600) as waits:", "    print('ready', flush=True)"]
    script = "\n".join(lines) + "\n" + textwrap.indent(textwrap.dedent(body), "    ")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    _, said = process.communicate(timeout=60)
    return process.returncode, said, time.monotonic() - start


def test_a_hang_ends_the_process_within_its_limit_with_name_and_stack():
    code, said, seconds = hang("with waits('data'): time.sleep(3600)")
    assert code == 75 and seconds < 1 + 30
    assert "mmjax: process 0 of 1: 'data' did not end within 1 s; the run ends here" in said
    assert 'File "<string>", line 5' in said  # the stack of the thread that hangs


def test_a_phase_has_a_limit_of_its_own():
    code, said, _ = hang("""
        with waits('compile', phase=True): time.sleep(2)
        with waits('save'): time.sleep(3600)
    """)
    assert code == 75 and "'save' did not end" in said


def test_code_that_holds_the_interpreter_is_ended_too():
    """A call that lets no other thread run, as a compiled loop may: the C library acts alone."""
    code, said, seconds = hang("""
        time.sleep(1.0)
        with waits('step'): re.match('(a*)*b', 'a' * 40)
    """)
    assert code == 1 and seconds < 1 + 1 + 30
    assert "Timeout (" in said and "in match" in said
