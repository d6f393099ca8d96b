"""What a model is judged on: held-out batches, the loss, what is given and what is generated."""

import dataclasses

import jax
import numpy as np
import pytest

from mmjax import config as configs
from mmjax.codecs.words import split_words
from mmjax.errors import UserError
from mmjax.evaluation.evaluator import HEADLINE, Evaluation, Task
from mmjax.rng import named
from mmjax.training.held_out import held_out_sets, readable
from mmjax.training.judging import Examiner
from mmjax.training.previews import Previews, Scores
from mmjax.training.reduce import reduce_terms
from mmjax.training.restore import untrained
from mmjax.training.state import sampling_context
from mmjax.training.system import build
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer
from tests.conftest import ROOT

TASKS = {"both": Task(given=("text",), want=("video", "audio"), prefix=("video",))}


@pytest.fixture(scope="module")
def system():
    """The tiny quickstart with one task, no metrics and six clips in batches of at most four."""
    built = build(configs.load(f"{ROOT}/configs/quickstart.py:tiny"))
    evaluation = Evaluation(tasks=TASKS, clips=6, batch_size=4, previews=2)
    return dataclasses.replace(built, evaluation=evaluation)


@pytest.fixture(scope="module")
def state(system):
    return untrained(system)


@pytest.fixture(scope="module")
def examiner(system):
    return Examiner(system, held_out_sets(system), TASKS)


@pytest.mark.parametrize(
    ("clips", "length", "count", "size"),
    [(6, 100, 2, 3), (7, 100, 2, 4), (3, 100, 1, 3), (50, 5, 2, 2), (1, 100, 1, 1)],
)
def test_batches_have_equal_sizes(system, clips, length, count, size):
    source = dataclasses.replace(system.data.evaluation, length=length)
    data = dataclasses.replace(system.data, evaluation=source)
    batches = held_out_sets(dataclasses.replace(system, data=data), clips=clips)[HEADLINE]
    assert len(batches) == count and batches.examples == count * size <= length
    assert {len(batch["video"]) for batch in batches} == {size}


def test_held_out_batches_carry_the_truth_in_the_sources_order(system):
    batch = held_out_sets(system)[HEADLINE][0]
    records = [system.data.evaluation[index] for index in range(3)]
    np.testing.assert_array_equal(batch["video"], [record["video"] for record in records])
    np.testing.assert_array_equal(batch["events"], [record["events"] for record in records])
    assert batch["caption"].tolist() == [record["text"] for record in records]
    words = [" ".join(split_words(text)) for text in batch["caption"]]
    assert readable(system, "text", batch["text"]).tolist() == words
    assert readable(system, "video", batch["video"]) is batch["video"]


def test_a_system_without_held_out_data_says_so(system):
    bare = dataclasses.replace(system, data=dataclasses.replace(system.data, evaluation=None))
    with pytest.raises(UserError, match="config.data.evaluation: this config declares no held-out"):
        held_out_sets(bare)


def test_the_loss_is_the_training_objectives_mean(system, state, examiner):
    batches = examiner.sets[HEADLINE]
    found = examiner.losses(state, batches)
    sums, key = {}, named(jax.random.key(0), "loss")

    @jax.jit
    def reduced(state, batch, key):
        ctx = sampling_context(system, state)
        prepared = system.objective.prepare(ctx, batch, named(key, "prepare"))
        terms, _ = system.objective.terms(ctx, prepared, named(key, "update", "all"), "all")
        return reduce_terms(terms, None)[1]

    for index, batch in enumerate(batches):
        arrays = {name: value for name, value in batch.items() if value.dtype != object}
        for name, pair in reduced(state, arrays, named(key, index)).items():
            sums[name] = sums.get(name, 0) + np.array(pair)
    assert found["loss"] == pytest.approx(sums["loss"][0] / 2, rel=1e-4)
    total, count = sums["loss/video"]
    assert found["loss/video"] == pytest.approx(total / count, rel=1e-4)
    assert examiner.losses(state, batches) == found


def test_what_is_given_stays_and_the_beginning_is_held(system, state, examiner):
    batch = examiner.sets[HEADLINE][0]
    media = examiner.media(state, TASKS["both"], batch, jax.random.key(0))
    assert media["text"] is batch["text"]
    np.testing.assert_array_equal(media["video"][:, 0], batch["video"][:, 0])
    assert np.abs(media["video"][:, 12:].astype(int) - batch["video"][:, 12:]).mean() > 5
    assert media["audio"].dtype == np.float32 and media["audio"].shape == batch["audio"].shape


class Record(Writer):
    """A writer that keeps what it is told."""

    def __init__(self):
        self.scalar, self.pictures = {}, {}

    def scalars(self, step, values):
        self.scalar |= {(step, name): value for name, value in values.items()}

    def image(self, step, name, picture):
        self.pictures[step, name] = picture


def test_hooks_write_figures_samples_and_sheets(system, state, tmp_path):
    writer, workdir = Record(), Workdir(tmp_path)
    Scores()(system, state, 7, workdir, writer)
    assert np.isfinite(writer.scalar[7, "evaluation/loss"])
    Previews()(system, state, 7, workdir, writer)
    sheet = writer.pictures[7, "samples/both"]
    assert sheet.dtype == np.uint8 and sheet.shape[-1] == 3 and sheet.shape[1] > 1200  # two clips
    names = {path.name for path in (tmp_path / "samples" / "step_7").iterdir()}
    assert {f"both_{index}.{end}" for index in (0, 1) for end in ("mp4", "wav", "txt")} <= names


def test_previews_without_tasks_name_the_field(system, state, tmp_path):
    bare = dataclasses.replace(system, evaluation=Evaluation())
    with pytest.raises(UserError, match="config.train.preview_every"):
        Previews()(bare, state, 1, Workdir(tmp_path), Record())
