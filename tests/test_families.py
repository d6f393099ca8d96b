"""Every family trains through the one step: its first step to the digit, its loss falls."""

import jax
import numpy as np
import pytest
from PIL import Image

from mmjax import config as configs
from mmjax import tree
from mmjax.training.batches import make_pipeline
from mmjax.training.restore import abstract_state, untrained
from mmjax.training.step import make_step
from mmjax.training.system import build
from tests.conftest import ROOT
from tests.harness import mean

# What the first step of ``:tiny`` logs. These numbers change with the model, the objective, the
# data, the order of random draws: update them where such a change is meant, and say so.
GOLDEN = {
    "quickstart": {"loss/all/total": 1.139584, "gradient_norm/all": 0.308057},
    "image/kl_vae": {"loss/all/total": 0.803155, "gradient_norm/all": 1.303259},
    "image/gan": {
        "loss/discriminator/total": 1.338270,
        "loss/generator/total": 0.663264,
        "gradient_norm/discriminator": 4.941116,
        "gradient_norm/generator": 0.852509,
    },
    "text/gpt": {"loss/all/total": 5.564954, "gradient_norm/all": 1.374470},
    "vl/clip": {"loss/all/total": 2.856358, "gradient_norm/all": 110.390717},
}
# What falls on one batch seen again and again.
FALLS = {
    "quickstart": "loss/all/total",
    "image/kl_vae": "loss/all/total",
    "image/gan": "loss/discriminator/total",
    "text/gpt": "loss/all/total",
    "vl/clip": "loss/all/total",
}
# Parameters of the full forms; all but the language model's are published figures.
SIZES = {
    "image/kl_vae": 83_653_863,
    "image/gan": 3_576_704 + 2_765_568,
    "text/gpt": 12 * (12 * 768**2 + 13 * 768) + 2 * 768 + 259 * (2 * 768 + 1),
    "vl/clip:B/32": 151_277_313,
    "vl/clip:B/16": 149_620_737,
    "vl/clip:L/14": 427_616_513,
}
STEPS = 30


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def run(request):
    """A family's name and what it logs at each step on one batch of its own data."""
    system = build(configs.load(f"{ROOT}/configs/{request.param}.py:tiny"))
    batch = make_pipeline(system).batch(0)
    step, state = jax.jit(make_step(system)), untrained(system)
    lines = []
    for _ in range(STEPS):
        state, logged = step(state, batch)
        lines.append({name: mean(logged, name) for name in logged})
    return request.param, lines


def test_first_step_is_the_recorded_one(run):
    name, (first, *_) = run
    for figure, value in GOLDEN[name].items():
        assert first[figure] == pytest.approx(value, rel=1e-4), (
            f"{figure} of the first step of {name}:tiny changed; if that is meant, update GOLDEN"
        )


def test_loss_falls_on_one_batch(run):
    name, lines = run
    losses = [line[FALLS[name]] for line in lines]
    # Times and noise differ from step to step, so means of some steps are compared.
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    assert not any(line["bad_steps"] for line in lines)


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A working directory with the folders that full forms read, a file or two in each."""
    for split in ("train", "test"):
        for kind in ("images", "pairs"):
            folder = tmp_path / "data" / kind / split
            folder.mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "black.png")
            (folder / "black.txt").write_text("nothing", encoding="utf-8")
    (tmp_path / "data" / "text").mkdir()
    (tmp_path / "data" / "text" / "long.txt").write_text("word " * 4_000, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_full_form_has_its_size_and_reads_own_data(name, own_data):
    path, _, variant = name.partition(":")
    system = build(configs.load(f"{ROOT}/configs/{path}.py" + (variant and f":{variant}")))
    assert tree.count(abstract_state(system).params) == SIZES[name]
    record = make_pipeline(system).transform(system.data.train[0])
    for field, modality in system.modalities.items():
        assert record[field].shape == modality.shape
