"""Figures of what should be equal to what was given, on differences whose answers are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio import mel
from mmjax.codecs.audio.distances import MultiScaleMel
from mmjax.codecs.pixels import Pixels
from mmjax.evaluation.evaluator import Evaluation, Judge, Task
from mmjax.evaluation.metrics.agreement import Agreement
from mmjax.evaluation.metrics.chamfer import ChamferDistance
from mmjax.evaluation.metrics.fidelity import Fidelity, similarity
from mmjax.evaluation.metrics.mel_distance import MelDistance
from mmjax.evaluation.metrics.occupancy import Occupancy
from mmjax.evaluation.metrics.spectra import mel_filters
from mmjax.evaluation.metrics.spectral_convergence import SpectralConvergence
from mmjax.evaluation.metrics.squared_error import SquaredError
from mmjax.modalities.audio import Audio
from mmjax.modalities.cloud import Cloud
from mmjax.modalities.image import Image
from mmjax.modalities.label import Label
from mmjax.modalities.motion import Motion
from mmjax.modalities.video import Video
from mmjax.objectives.base import Context, Objective
from mmjax.objectives.chamfer import Chamfer
from mmjax.objectives.joint import Joint
from mmjax.processes.clean import Clean
from mmjax.training.reconstruction import TASK, with_reconstruction
from mmjax.training.system import StreamConfig, make_spec

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (3, 9, 12, 3), dtype=np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, (2, 1024, 2)).astype(np.float32)


def figures(metric, made, real):
    """Of clips seen in two batches."""
    judge = Judge({"it": metric})
    for part in (slice(0, 1), slice(1, None)):
        judge.add({metric.field: made[part]}, {metric.field: real[part]})
    return {name.partition("/")[2]: value for name, value in judge.figures().items()}


@pytest.mark.parametrize("off", [1, 25])
def test_an_even_error_has_its_noise_ratio(off):
    real = PICTURES // 2
    made = real + np.uint8(off)  # no byte overflows
    found = figures(Fidelity("image"), made, real)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / off))


def test_equal_pictures_are_alike_and_the_ratio_has_no_end():
    found = figures(Fidelity("image"), PICTURES, PICTURES)
    assert found["ssim"] == pytest.approx(1) and found["psnr"] == np.inf


def test_flat_pictures_are_as_alike_as_their_light():
    one, other = (np.full((1, 8, 8, 1), value, np.uint8) for value in (40, 120))
    low = (0.01 * 255) ** 2
    expected = (2 * 40 * 120 + low) / (40**2 + 120**2 + low)
    assert similarity(one, other) == pytest.approx(expected)


def test_similarity_is_that_of_its_windows():
    one, other = PICTURES[:1, ..., :1].astype(float), PICTURES[1:2, ..., :1].astype(float)
    low, high, found = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for row in range(3):
        for column in range(6):
            a, b = (x[0, row : row + 7, column : column + 7, 0] for x in (one, other))
            covariance = np.mean((a - a.mean()) * (b - b.mean()))
            light = (2 * a.mean() * b.mean() + low) / (a.mean() ** 2 + b.mean() ** 2 + low)
            found.append(light * (2 * covariance + high) / (a.var() + b.var() + high))
    assert similarity(one, other) == pytest.approx(np.mean(found))


def test_films_are_judged_frame_by_frame_and_small_pictures_too():
    films = PICTURES[None]
    mixed = films[:, ::-1]
    alone = [similarity(a[None], b[None])[0] for a, b in zip(films[0], mixed[0], strict=True)]
    assert similarity(films, mixed) == pytest.approx(np.mean(alone))
    assert similarity(PICTURES[:, :2, :2], PICTURES[:, :2, :2]) == pytest.approx(1)


def test_filters_and_distances_are_those_of_the_loss():
    metric = MelDistance("audio", 8000, (64, 256), (10, 20))
    made = (SOUND * np.linspace(0, 1, 1024, dtype=np.float32)[:, None])[:, ::-1]
    loss = MultiScaleMel(8000, metric.windows, metric.bins)(None, jnp.array(made), jnp.array(SOUND))
    found = metric.extract({"audio": made}, {"audio": SOUND})
    assert found["mel"] == pytest.approx(np.asarray(loss) / 2, rel=1e-4)
    for rate in (1500, 8000):
        expected = mel.mel_filters(rate, 256, 10)
        assert mel_filters(rate, 256, 10) == pytest.approx(expected, abs=1e-7)


def test_a_tenth_of_the_sound_is_a_distance_of_one():
    loud = SOUND * 2
    metric = MelDistance("audio", 8000, (256,), (20,))
    assert figures(metric, loud / 10, loud)["mel"] == pytest.approx(1, rel=1e-3)
    assert figures(metric, loud, loud)["mel"] == 0


def test_spectra_that_are_off_by_a_share_converge_to_it():
    metric = SpectralConvergence("audio", (64, 256))
    assert figures(metric, SOUND * 0.75, SOUND)["convergence"] == pytest.approx(0.25, abs=1e-4)
    assert figures(metric, -SOUND, SOUND)["convergence"] == 0  # phases do not count
    assert figures(metric, SOUND * 0, SOUND)["convergence"] == pytest.approx(1, abs=2e-3)
    assert figures(metric, SOUND, SOUND * 0)["convergence"] > 100
    loud = SOUND * np.array([1, 0], np.float32)[:, None, None]  # of two clips one is silent
    assert figures(metric, loud * 0.5, loud)["convergence"] == pytest.approx(0.5, abs=1e-3)
    spectra = metric.spectra(SOUND)
    wrong = [np.abs(np.roll(x, 1, axis=1) - x) for x in spectra]
    lengths = [np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(wrong, spectra, strict=True)]
    rolled = metric.compute(metric.apart([np.roll(x, 1, axis=1) for x in spectra], spectra))
    assert rolled["convergence"] == pytest.approx(np.mean(lengths))


def test_bins_belong_to_windows():
    with pytest.raises(ValueError, match="bins: give one number for each of the 3 windows"):
        MelDistance("audio", 8000, bins=(10,))


def test_errors_of_rows():
    real = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    made = real + np.array([3.0, 0.0, 4.0], np.float32)[:, None, None]
    assert figures(SquaredError("motion"), made, real)["rmse"] == pytest.approx((25 / 3) ** 0.5)


def test_clouds_are_as_far_apart_as_the_loss_says():
    made, real = (RNG.normal(size=(3, 7, 3)).astype(np.float32) for _ in range(2))
    apart = Chamfer()(Context({}, {}, {}, {}), jnp.array(made), jnp.array(real))
    found = figures(ChamferDistance("cloud"), made, real)
    assert found["chamfer"] == pytest.approx(float(apart.mean()), rel=1e-5)
    assert figures(ChamferDistance("cloud"), real[:, ::-1], real)["chamfer"] == 0


def test_classes_agree_or_do_not():
    made, real = np.array([[3], [1], [2]]), np.array([[3], [2], [2]])
    assert figures(Agreement("label"), made, real)["accuracy"] == pytest.approx(2 / 3)
    rows = np.array([[1, 2, 3, 4]] * 2)
    assert figures(Agreement("label"), rows, rows - [0, 0, 0, 1])["accuracy"] == 0.75


def test_answers_about_the_inside_of_shapes():
    def answers(*chances):
        return np.concatenate([np.zeros((len(chances), 4, 3)), np.array(chances)[..., None]], -1)

    real = answers([1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0])
    made = answers([0.9, 0.4, 0.5, 0.1], [0.2, 0.1, 0.0, 0.4], [0, 0, 0, 0])
    found = figures(Occupancy("queries"), made, real)
    assert found == {
        "right": pytest.approx((2 + 4 + 3) / 12),
        "iou": pytest.approx((1 / 3 + 1) / 3),
    }


@pytest.mark.parametrize(
    "metric",
    [
        Fidelity("a"), MelDistance("a", 8000), SpectralConvergence("a"), SquaredError("a"),
        ChamferDistance("a"), Agreement("a"), Occupancy("a"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_judged(metric):
    clip = {"a": SOUND}
    assert metric.compute(metric.extract({}, clip)) == {}
    assert metric.compute(metric.extract(clip, {})) == {}
    assert "/a" in metric.spec_id


class GivesBack(Objective):
    """An objective that says what it gives back."""

    reconstructs = ("it",)


@pytest.mark.parametrize(
    ("modality", "metrics"),
    [
        (Image(8, 8), {"fidelity": Fidelity("it")}),
        (Video(2, 8, 8, 8), {"fidelity": Fidelity("it")}),
        (
            Audio(64, 16_000),
            {
                "mel_distance": MelDistance("it", 16_000),
                "spectral_convergence": SpectralConvergence("it"),
            },
        ),
        (Motion(4), {"squared_error": SquaredError("it")}),
        (Cloud(4), {"chamfer": ChamferDistance("it")}),
        (Label(4), {"agreement": Agreement("it")}),
    ],
)
def test_codecs_have_a_task_and_metrics_of_their_modality(modality, metrics):
    codec = "pixels" if modality.dtype == np.uint8 else None
    stream = StreamConfig("it", Clean(), codec)
    spec = make_spec("it", stream, {"it": modality}, {"pixels": Pixels()})
    found = with_reconstruction(Evaluation(clips=8), GivesBack(), {"it": spec})
    assert found.tasks == {TASK: Task(("it",), ("it",))} and found.clips == 8
    assert found.metrics == metrics
    own = Evaluation(tasks={"own": Task(("it",))})
    assert with_reconstruction(own, GivesBack(), {"it": spec}) is own
    assert with_reconstruction(Evaluation(), Joint({}), {"it": spec}) == Evaluation()
