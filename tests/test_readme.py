"""The README's commands are what it says they are, and each of them runs."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import av
import pytest

from mmjax.cli.main import main

ROOT = pathlib.Path(__file__).parents[1]
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
TOUR = [line for block in BLOCKS[2:] for line in block.splitlines() if line.startswith("mmjax ")]
PATH = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_the_first_two_blocks_are_one_command_each():
    first, second = (block.splitlines() for block in BLOCKS[:2])
    assert len(first) == len(second) == 1
    assert first[0].endswith("bash launch/quickstart.sh runs/quickstart")
    assert second[0].endswith("-m pytest -n 2 --dist loadfile")


def test_the_first_command_runs_to_its_table_clip_and_page(tmp_path):
    """The same script at the config's tiny size, on few clips."""
    script = ["bash", str(ROOT / "launch/quickstart.sh"), str(tmp_path / "run"), "tiny", "4"]
    done = subprocess.run(
        script, env=os.environ | {"PATH": PATH}, text=True, capture_output=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    for row in ("untrained", "just trained", "shipped", "real", "audio shuffled"):
        assert row in done.stdout
    clip, page = re.findall(r"^(?:clip|report): +(.+)$", done.stdout, re.M)
    with av.open(clip) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
    assert "<video" in pathlib.Path(page).read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder in which relative paths of the README mean the same, and its writing is ours."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("configs", "pretrained", "colabs", "docs", "CONTRIBUTING.md"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.parametrize("command", TOUR)
def test_the_tour(command, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    # Fewer clips than the README judges; everything else is as a reader would type it.
    arguments = shlex.split(command.replace("--clips 200", "--clips 8"))[1:]
    assert main(arguments) == 0
    out = checkout / arguments[arguments.index("--out") + 1]
    assert out.is_file() or any(out.iterdir())


def test_links_and_pictures_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
