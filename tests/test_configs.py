"""What every config owes: a header, both forms, its published size, a tiny form that trains."""

import ast
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from mmjax import tree
from mmjax.evaluation.evaluator import Judge
from mmjax.evaluation.media import save_example
from mmjax.modalities.audio import Audio
from mmjax.modalities.container import save_clip
from mmjax.training.batches import make_pipeline
from mmjax.training.held_out import held_out_sets
from mmjax.training.judging import Examiner
from mmjax.training.restore import abstract_state
from tests.tiny import FOLDER, NAMES, load, tiny, trained

# Parameters of the full forms and of some variants; published ones but for quickstart, gpt and
# those that have the size of a published model over the shared trunk: ltx2, decoder, wan.
SIZES = {
    "audio/dac": 76_620_777 + 41_105_770 + 1_413_990,
    "audio/encodec": 14_851_810 + 472_490,
    "audio/encodec:48khz": 14_856_294 + 481_130,
    "audio/mel_vae": 55_376_873 + 2_763_585,
    "audio/mel_vae:mmaudio_16k": 171_657_218 + 2_763_585,
    "audio/mimi": 79_308_609 + 472_490,
    "audio/oobleck": 156_112_514 + 1_883_850,
    "audio/vocoder": 13_926_017 + 41_105_770 + 29_622_918,
    "av/ltx2": 19_575_771_904,
    "image/dc_ae": 312_250_275,
    "image/dit": 675_129_632 - 256 * 1152 - 16 * 1153,  # no position table, no variance output
    "image/dvae": 53_786_240 + 43_829_766,
    "image/gan": 3_576_704 + 2_765_568,
    "image/kl_vae": 83_653_863,
    "image/vq_gan": 72_141_699 + 2_765_633 + 14_714_688 + 1_472,
    "image/vq_gan:16384": 76_073_859 + 2_765_633 + 14_714_688 + 1_472,
    "motion/motion_vq": 19_436_807,
    "multimodal/cvae": 4_854_984,
    "multimodal/mmvae": 685_274,
    "multimodal/mvae": 2_588_186,
    "image/vq_vae2": 1_388_867,
    "image/vq_vae2_prior": 1_388_867 + 64_085_504 + 43_355_648,
    "quickstart": 3_515_616,
    "shape/point_autoencoder": 1_770_240,
    "shape/vec_set": 106_215_041,
    "text/gpt": 12 * (12 * 768**2 + 13 * 768) + 2 * 768 + 259 * (2 * 768 + 1),
    "video/cosmos_vae": 105_653_696,
    "video/ltx2_vae": 1_222_479_601,
    "video/temporal_decoder": 97_742_847,
    "video/wan_vae": 126_892_531,
    "video/wan_vae:2.2": 704_688_668,
    "text/decoder": 6_982_856_963,
    "video/wan": 14_554_798_144,
    "video/wan:5B": 5_128_496_832,
    "video/wan:1.3B": 1_447_965_760,
    "vl/clip": 151_277_313,
    "vl/clip:B/16": 149_620_737,
    "vl/clip:L/14": 427_616_513,
}


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A working directory with the folders that full forms read, a file or two in each."""
    for split in ("train", "test"):
        for kind in ("images", "pairs"):
            folder = tmp_path / "data" / kind / split
            folder.mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "black.png")
            (folder / "black.txt").write_text("nothing", encoding="utf-8")
        (tmp_path / "data" / "videos" / split).mkdir(parents=True)
        film = str(tmp_path / "data" / "videos" / split / "black.mp4")
        save_clip(film, np.zeros((2, 8, 8, 3), np.uint8), fps=8)
        (tmp_path / "data" / "sounds" / split).mkdir(parents=True)
        noise = np.random.default_rng(0).uniform(-1, 1, (400, 1)).astype(np.float32)
        Audio(400, 16_000).save(str(tmp_path / "data" / "sounds" / split / "noise.wav"), noise)
        (tmp_path / "data" / "motions" / split).mkdir(parents=True)
        np.save(tmp_path / "data" / "motions" / split / "still.npy", np.zeros((64, 263)))
        shutil.copytree(tmp_path / "data" / "images" / split, tmp_path / "data/labelled" / split)
        labels = tmp_path / "data" / "labelled" / split / "captions.jsonl"
        labels.write_text('{"file": "black.png", "text": "", "label": 7}\n', encoding="utf-8")
    (tmp_path / "data" / "text").mkdir()
    (tmp_path / "data" / "text" / "long.txt").write_text("word " * 80_000, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_header(name):
    """The docstring says what it is, how to run it, on what, and what to expect."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")))
    missing = [word for word in ("Command:", "Hardware:", "Expected:") if word not in text]
    assert not missing, f"the header of configs/{name}.py lacks {', '.join(missing)}"


@pytest.mark.parametrize("name", NAMES)
def test_builds(name, own_data):
    """The full form builds, so that no field is unread, and its data fit what it declares."""
    system = load(name)
    if system.data.train is None:
        return  # it trains on a cache that another run makes, see tests/data/test_cache.py
    record = make_pipeline(system).transform(system.data.train[0])
    for field, modality in system.modalities.items():
        assert record[field].shape[: len(modality.shape)] == modality.shape


@pytest.mark.parametrize("name", sorted({*NAMES, *SIZES}))
def test_size(name, own_data):
    """The parameters of the full form, counted without computing them."""
    assert name in SIZES, f"say in SIZES how many parameters {name} has, published where it is"
    path, _, variant = name.partition(":")
    assert tree.count(abstract_state(load(path, variant)).params) == SIZES[name]


@pytest.mark.parametrize("name", NAMES)
def test_trains_and_samples(name, tmp_path):
    """The tiny form trains on its own data through the one step, and every figure is finite.

    What it then makes of held-out clips fits its modalities, is judged and is saved.
    """
    system, (state, lines) = tiny(name)[0], trained(name)
    assert system.data.batch_size % 8 == 0, "a tiny batch must divide over eight devices"
    assert not any(line["bad_steps"] for line in lines)
    for key, value in lines[-1].items():
        assert np.isfinite(value) or key.startswith("loss/") and "/time_" in key, key
    tasks = list(system.evaluation.tasks.items())[:1]
    examiner = Examiner(system, held_out_sets(system, clips=2), dict(tasks))
    batches = next(iter(examiner.sets.values()))
    if not tasks:  # one that makes nothing, such as a pair of towers
        assert all(np.isfinite(value) for value in examiner.losses(state, batches).values())
    for _, task in tasks:
        (batch,) = batches
        media = examiner.media(state, task, batch, jax.random.key(0))
        made = {system.streams[stream].field for stream in task.want}
        for row in range(2):
            save_made({field: media[field][row] for field in made}, system, tmp_path / f"{row}")
        judge = Judge(system.evaluation.metrics)
        judge.add(media, batch)
        assert not any(np.isnan(value) for value in judge.figures().values())


def save_made(example, system, folder):
    """Writes what a system made of one clip, once it is what its modalities say."""
    for field, value in example.items():
        if isinstance(value, np.ndarray):  # text is words again
            system.modalities[field].check(value, f"{system.name}: field {field!r}")
    assert save_example(folder, "it", system.modalities, example, {})
