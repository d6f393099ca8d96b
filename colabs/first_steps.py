# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First steps: film and sound from one model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/mmjax/mmjax/blob/main/colabs/first_steps.ipynb)
#
# A handwritten digit falls, bounces off four walls, and rings at every bounce: the digit sets the
# pitch, the place sets left and right. One model makes the picture *and* its sound, from words, from
# a film, or from a sound. Here you
#
# 1. play a clip that was made from a sentence, and write your own sentence;
# 2. give a silent film its sound, and check it against physics;
# 3. train the same model yourself for a minute.
#
# Everything runs on two CPU cores in about five minutes; a GPU is welcome and not needed.

# %%
# Colab lacks mmjax: fetch and install it. On a machine that has it, this cell only looks around.
import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys

REPOSITORY = os.environ.get("MMJAX_REPOSITORY", "https://github.com/mmjax/mmjax")
FETCHED = "mmjax-checkout"


def checkout() -> pathlib.Path:
    """The folder with mmjax's configs and weights."""
    here = pathlib.Path.cwd()
    for folder in (here / FETCHED, here, *here.parents):
        if (folder / "configs" / "quickstart.py").is_file():
            return folder
    raise FileNotFoundError(f"no checkout of mmjax in {here} or above it")


def versions() -> dict[str, str]:
    """What is installed of the packages that cannot be exchanged while they are in use."""
    names = [name for name in ("jax", "jaxlib", "flax", "numpy") if importlib.util.find_spec(name)]
    return {name: importlib.metadata.version(name) for name in names}


def install() -> None:
    """Installs mmjax, with a newer JAX for this machine where the one here is too old."""
    before = versions()
    if not pathlib.Path(FETCHED).is_dir():
        subprocess.run(["git", "clone", "--quiet", "--depth=1", REPOSITORY, FETCHED], check=True)
    plugins = {"cuda": "jax_cuda12_plugin", "tpu": "libtpu"}
    found = [extra for extra, module in plugins.items() if importlib.util.find_spec(module)]
    package = f"./{FETCHED}[{','.join(['colab', *found])}]"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)
    importlib.invalidate_caches()
    after = versions()
    changed = [name for name in before if before[name] != after[name] and name in sys.modules]
    if changed:
        raise SystemExit(
            f"{', '.join(changed)} was upgraded while in use: choose Runtime > Restart session, "
            "then run this cell again"
        )


if importlib.util.find_spec("mmjax") is None:
    install()
ROOT = checkout()
print(f"mmjax from {ROOT}, with JAX {importlib.metadata.version('jax')}")

# %% [markdown]
# ## Settings
#
# The first folder holds the weights that come with mmjax. A value that is set in the environment
# comes first.

# %%
WEIGHTS = os.environ.get("MMJAX_WEIGHTS", f"{ROOT}/pretrained/bouncing_digits")
VARIANT = os.environ.get("MMJAX_VARIANT", "fast")  # of configs/quickstart.py, to train
STEPS = int(os.environ.get("MMJAX_STEPS", "120"))  # a minute or two on two cores
OUT = pathlib.Path(os.environ.get("MMJAX_OUT", "first_steps"))

# %%
import json

import jax
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, Image, Video, display

from mmjax import config as configs
from mmjax.cli.given import read_given, read_want
from mmjax.evaluation.media import save_example
from mmjax.training import weights
from mmjax.training.loop import train
from mmjax.training.sampling import Generator
from mmjax.training.system import build
from mmjax.training.workdir import Workdir

system, state = weights.load(WEIGHTS)
SHIPPED = (state, Generator(system))
size = sum(leaf.size for leaf in jax.tree.leaves(state.params)) / 1e6
print(f"{system.name}: {size:.1f} million parameters, {int(state.step)} steps of training")

# %% [markdown]
# ## From words
#
# `make` gives the model some streams and takes the others from it. Sampling begins with noise in
# every stream that is wanted and walks it, step by step, to a clean clip. The first call compiles
# the walk; the next ones reuse it.


# %%
def make(given: dict[str, str], seed: int = 0, model: tuple = SHIPPED) -> dict[str, np.ndarray]:
    """A clip by field. ``given`` holds a text, or the path of a film or a sound."""
    state, generator = model
    fields, known = read_given(system, given)
    want = read_want(system, "", list(fields))
    made = generator(state, fields, want, batch=1, key=jax.random.key(seed))
    return known | {name: values[0] for name, values in made.items()}


def play(clip: dict[str, np.ndarray], name: str) -> None:
    """Writes the clip as files, with a sheet of its frames and sound, and shows them."""
    paths = save_example(OUT, name, system.modalities, clip, {})
    film = next(path for path in paths if path.suffix == ".mp4")
    display(Video(str(film), embed=True, html_attributes="controls loop", width=288))
    display(Image(str(OUT / f"{name}.sheet.png"), width=480))


play(make({"text": "a seven bounces three times"}), "seven")

# %% [markdown]
# Above, the film with its sound; below it the frames in reading order, the two channels of sound,
# and the spectrogram, in which each bounce is a bright edge and the digit's pitch a line.
#
# ## Your sentence
#
# The model knows the words of its captions: the ten digits as words or figures, `small`, `big`,
# `falls`, `is dropped`, `is thrown to the left`, `rolls right`, `jumps up`, `bounces twice`,
# `hits the left wall` ... An unknown word is an error that names the nearest known one. Change the
# sentence, and the seed for another clip of the same sentence.

# %%
PROMPT = "a big 3 is thrown to the right and bounces twice"

play(make({"text": PROMPT}, seed=1), "yours")

# %% [markdown]
# ## A silent film gets its sound
#
# The same weights go from picture to sound: the film is given, and only the sound is sampled. The
# film comes from the simulator, whose handwritings the model has never seen, so that the moment of
# every bounce is known.

# %%
record = system.data.evaluation[2]
system.modalities["video"].save(str(OUT / "silent.mp4"), record["video"])
voiced = make({"video": str(OUT / "silent.mp4")})
play(voiced, "voiced")

rate = system.modalities["audio"].rate
print("what the model heard in the film:")
display(Audio(voiced["audio"].T, rate=rate, normalize=False))
print("what the simulator says it sounds like:")
display(Audio(record["audio"].T, rate=rate, normalize=False))

# %%
# Bounces are the simulator's; a synchronised sound begins on the lines.
bounces = record["events"][record["events"][:, 0] >= 0, 0]
figure, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True, sharey=True)
for axis, title, sound in (
    (axes[0], "the simulator's sound", record["audio"]),
    (axes[1], "the model's sound for the same film", voiced["audio"]),
):
    axis.plot(np.arange(len(sound)) / rate, sound.mean(axis=1), linewidth=0.7)
    axis.vlines(bounces, *axis.get_ylim(), color="tab:red", linestyle="--", label="bounce")
    axis.set_title(title)
axes[0].legend(loc="upper right")
axes[1].set_xlabel("seconds")
figure.tight_layout()

# %% [markdown]
# One clip proves little. `mmjax evaluate` does this for hundreds and prints the share of bounces that
# have a sound within one frame, beside the same figure for real clips and for real clips with
# exchanged sound. Here are eight clips:

# %%
records = [system.data.evaluation[index] for index in range(8)]
films = np.stack([record["video"] for record in records])
state, generator = SHIPPED
voices = generator(state, {"video": {"video": films}}, ("audio",), batch=8, key=jax.random.key(0))

synchrony = system.evaluation.metrics["synchrony"]
truth = {"digits": np.stack([record["digits"] for record in records])}
sounds = np.stack([record["audio"] for record in records])
for name, audio in (
    ("the simulator's sound", sounds),
    ("the model's sound", voices["audio"]),
    ("another clip's sound", np.roll(sounds, 1, axis=0)),
):
    figures = synchrony.compute(synchrony.extract({"video": films, "audio": audio}, truth))
    print(f"{name:22} F1 of bounces and sounds within one frame: {figures['f1']:.2f}")

# %% [markdown]
# ## Train it yourself
#
# A config names every part of a system: modalities, codecs, streams, network, objective, optimiser,
# data. Here the schedule is shortened to a minute or two; the simulator makes the clips as they are
# needed.

# %%
config = configs.load(
    f"{ROOT}/configs/quickstart.py:{VARIANT}",
    [
        f"train.steps={STEPS}",
        "train.log_every=5",
        f"updates.all.optimiser.schedule.steps={STEPS}",
        f"updates.all.optimiser.schedule.warmup={STEPS // 6}",
    ],
)
fresh = build(config)
workdir = Workdir(OUT / f"run_of_{STEPS}_steps")
trained, _ = train(fresh, workdir)

# %% [markdown]
# The folder of the run holds its metrics, one JSON line per row, and its checkpoint. Run the cell
# again: the run is complete and goes on from where it was, which is its end.

# %%
rows = [json.loads(line) for line in workdir.metrics.read_text().splitlines()]
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for axis, stream in zip(axes, ("video", "audio"), strict=True):
    points = [(row["step"], row[f"loss/{stream}"]) for row in rows if f"loss/{stream}" in row]
    axis.plot(*zip(*points, strict=True), marker=".")
    axis.set(title=f"loss of {stream}", xlabel="step", ylim=(0, None))
figure.tight_layout()

# %% [markdown]
# After so short a training the picture is a blur where digits often are, and the sound a hum at
# their pitches. Digits that move, and sound at the right moment, take the time that the shipped
# weights had.

# %%
play(make({"text": "a seven bounces three times"}, model=(trained, Generator(fresh))), "minute_old")

# %% [markdown]
# ## Next
#
# * Look at what a model is trained on:
#   `mmjax data show --config configs/quickstart.py --out shown`
# * Train on: `mmjax train --config configs/quickstart.py:fast --workdir runs/mine`; stop it and start
#   it again as you like, it goes on bit for bit.
# * Sample from the command line:
#   `mmjax sample --weights pretrained/bouncing_digits --given text="a small 4 bounces once" --out out`
# * Judge a run: `mmjax evaluate --workdir runs/mine`, then `mmjax report --workdir runs/mine` for one
#   page with curves and clips.
# * Your own clips, a folder of films with a text file beside each:
#   `mmjax train --config configs/quickstart.py --config.data.train="{'_target_':
#   'mmjax.data.folder:Folder', 'root': 'clips'}" --workdir runs/clips`
# * Encode a big data set once: `mmjax data cache --config configs/quickstart.py --count 1000 --to latents`
