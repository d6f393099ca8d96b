"""The README's commands are what it says they are, and each of them runs."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.cli.main import main
from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.video.ltx2 import AutoencoderKLLTX2Video
from mmjax.interop import save_pretrained

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.M | re.S)
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
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_large_pictures_and_long_clips_as_shown(tmp_path, monkeypatch):
    """The Python that loads weights, on small random ones in the folders that it names."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    (shown,) = (block for block in blocks if "load_pretrained" in block)
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0).uniform
    pictures = jnp.asarray(draw(-1, 1, (1, 160, 200, 3)), jnp.float32)  # 80 x 100 latents
    clip = jnp.asarray(draw(-1, 1, (1, 41, 16, 16, 3)), jnp.float32)  # 11 latent frames
    ltx2 = AutoencoderKLLTX2Video(
        latents=4, widths=(8, 8), blocks=(0, 0, 0), down=("temporal", "temporal"),
        decoder_width=8, narrowing=(1, 1), decoder_blocks=(0, 0, 0), up=("temporal", "temporal"),
    )  # fmt: skip
    cases = {
        "stable-diffusion/vae": (AutoencoderKL(3, widths=(4, 4), blocks=0, groups=2), pictures),
        "ltx-2/vae": (ltx2, clip),
    }
    for folder, (module, example) in cases.items():
        assert f'load_pretrained("{folder}")' in shown
        save_pretrained(module, jax.jit(module.init)(jax.random.key(0), example), folder)
    names = {"pictures": pictures, "clip": clip}
    exec(shown, names)
    assert names["pictures"].shape == pictures.shape
    assert names["latents"].shape[1] == 11
    assert sum(part.shape[1] for part in names["frames"]) == clip.shape[1]
