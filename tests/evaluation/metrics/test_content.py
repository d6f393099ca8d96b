"""Digit, pitch, caption and physics of clips whose answer is known."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mmjax.data.bouncing_digits.sound import PITCHES, strike
from mmjax.data.digits import handwritten
from mmjax.evaluation.metrics.caption import CaptionAgreement
from mmjax.evaluation.metrics.digit import DigitAccuracy
from mmjax.evaluation.metrics.paths import FLOOR, LEFT
from mmjax.evaluation.metrics.physics import PhysicsError
from mmjax.evaluation.metrics.pitch import PitchMatchesDigit, dominant_frequency
from mmjax.evaluation.metrics.statement import Statement, understand
from tests.evaluation.metrics.clips import RATE, judge, nothing, records, soft, still

DIGIT, CAPTION, PHYSICS = DigitAccuracy(), CaptionAgreement(), PhysicsError()
PITCH = PitchMatchesDigit(PITCHES, RATE)


def test_the_classifier_learns_from_the_training_split_alone():
    count = len(handwritten("train")[0])
    assert DIGIT.train_pictures == CAPTION.train_pictures == PITCH.train_pictures == count
    assert np.array_equal(load_digits().target[:count], handwritten("train")[1])
    assert np.array_equal(load_digits().target[count:], handwritten("test")[1])


def test_unseen_handwriting_is_read():
    media, truth = records("test", 150)
    assert judge(DIGIT, media, truth)["accuracy"] >= 0.9
    blurred = {"video": soft(media["video"])}
    assert judge(DIGIT, blurred, truth)["accuracy"] >= 0.85


def test_wrong_and_missing_digits_are_not_read_as_right():
    media, truth = records("test", 60)
    wrong = truth | {"label": (truth["label"] + 1) % 10}
    assert judge(DIGIT, media, wrong)["accuracy"] < 0.1
    assert judge(DIGIT, nothing(media), truth) == {"accuracy": 0.0, "read": 0.0}
    half = media["video"].copy()
    half[::2] = 0
    figures = judge(DIGIT, {"video": half}, truth)
    assert figures["read"] == 0.5 and 0.4 < figures["accuracy"] <= 0.5


def test_the_pitch_of_real_clips_is_the_digits():
    media, truth = records("test", 60)
    figures = judge(PITCH, media, truth)
    assert figures["true"] >= 0.99 and figures["seen"] >= 0.85
    assert figures["sounds"] == pytest.approx((truth["events"][..., 0] >= 0).sum() / 60, rel=0.02)


def test_any_digit_of_several_may_sound():
    media, truth = records("test", 30, 3)
    figures = judge(PITCH, media, truth)
    assert figures["true"] >= 0.97 and "seen" not in figures
    alone = truth | {"digits": np.where(np.arange(3) == 0, truth["digits"], -1)}
    assert judge(PITCH, {"audio": media["audio"]}, alone)["true"] < 0.6


def test_wrong_pitches_and_silence_do_not_match():
    media, truth = records("test", 40)
    exchanged = media | {"audio": np.roll(media["audio"], 1, axis=0)}
    assert judge(PITCH, exchanged, truth)["true"] < 0.3
    silent = judge(PITCH, nothing(media), truth)
    assert silent == {"sounds": 0.0, "true": 0.0, "seen": 0.0}


def test_a_tone_between_two_pitches_is_no_digits():
    between = np.sqrt(PITCHES[3] * PITCHES[4])
    for pitch, digits in ((between, [-1, -1]), (PITCHES[3] * 1.02, [3, 3])):
        struck = strike(np.array([0.4, 1.0]), np.full(2, 0.3), np.full(2, 0.5), pitch, 15360, RATE)
        assert PITCH.digits_heard(struck, np.array([0.4, 1.0, np.nan])).tolist() == digits


@pytest.mark.parametrize("frequency", [300.0, 437.7, 2500.0])
def test_frequency_is_found_between_spectral_lines(frequency):
    wave = np.sin(2 * np.pi * frequency * np.arange(640) / RATE)[:, None] * [0.5, 0.1]
    assert dominant_frequency(wave, RATE) == pytest.approx(frequency, abs=0.5)


@pytest.mark.parametrize(
    ("caption", "statement"),
    [
        ("a seven bounces three times", Statement((7,), 3, None)),
        ("the digit 7 hits the left wall twice", Statement((7,), 2, LEFT)),
        ("a small one hits the floor 1 time", Statement((1,), 1, FLOOR)),
        ("the number one is dropped and bounces one time", Statement((1,), 1, None)),
        ("an 8 bounces", Statement((8,), None, None)),
        ("two digits: a three and an eight bounce", Statement((3, 8), None, None)),
        ("a 2, a one and a 4 bounce 9 times in all", Statement((2, 1, 4), 9, None)),
        ("a one bounces once and a 2 bounces four times", Statement((1, 2), 5, None)),
        ("nothing", Statement((), None, None)),
    ],
)
def test_captions_are_understood(caption, statement):
    assert understand(caption) == statement


def test_real_captions_agree():
    media, truth = records("test", 120)
    figures = judge(CAPTION, media, truth)
    assert figures["digit"] >= 0.9 and figures["count"] >= 0.97 and figures["all"] >= 0.88
    assert figures["count_error"] < 0.05


def test_other_clips_captions_disagree():
    media, truth = records("test", 80)
    other = truth | {"caption": np.roll(truth["caption"], 1)}
    figures = judge(CAPTION, media, other)
    assert figures["digit"] < 0.3 and figures["count"] < 0.6 and figures["all"] < 0.2
    frozen = judge(CAPTION, still(media), truth)
    assert frozen["digit"] > 0.8 and frozen["count"] == 0
    empty = judge(CAPTION, nothing(media), truth)
    assert empty["digit"] == empty["all"] == empty["count"] == 0


def test_every_part_of_a_caption_must_hold():
    media, truth = records("test", 40)
    counts = (truth["events"][..., 0] >= 0).sum(axis=1)
    names = [str(label) for label in truth["label"]]
    right = [f"a {name} bounces {n} times" for name, n in zip(names, counts, strict=True)]
    over = [f"a {name} bounces {n + 2} times" for name, n in zip(names, counts, strict=True)]
    plain = [f"a {name} bounces" for name in names]
    figures = [
        judge(CAPTION, media, truth | {"caption": np.array(captions, object)})
        for captions in (right, over, plain)
    ]
    assert figures[0]["digit"] == figures[2]["digit"] == figures[2]["all"] > 0.85
    assert figures[0]["all"] == pytest.approx(figures[0]["digit"], abs=0.03)
    assert figures[1]["all"] == 0 and figures[1]["count_error"] == pytest.approx(2, abs=0.05)
    assert "count" not in figures[2]


def test_real_motion_is_parabolic_between_bounces():
    media, truth = records("test", 60)
    figures = judge(PHYSICS, media, truth)
    assert figures["followed"] == 1 and figures["error_px"] < 0.05 and figures["speed_px"] > 1


def test_unlawful_motion_is_measured():
    media, truth = records("test", 60)
    rng = np.random.default_rng(0)
    frames = np.stack([rng.permutation(24) for _ in range(60)])
    jumbled = np.take_along_axis(media["video"], frames[:, :, None, None, None], axis=1)
    assert judge(PHYSICS, {"video": jumbled}, truth)["error_px"] > 1

    # Frames shown twice: half as many positions, a step of known size between them.
    halting = media["video"][:, np.arange(24) // 2 * 2]
    lawful = judge(PHYSICS, media, truth)
    figures = judge(PHYSICS, {"video": halting}, truth)
    assert figures["error_px"] > 10 * lawful["error_px"]


def test_still_and_empty_films_are_told_from_lawful_ones():
    media, truth = records("test", 20)
    frozen = judge(PHYSICS, still(media), truth)
    assert frozen["speed_px"] == pytest.approx(0, abs=1e-6) and frozen["followed"] == 1
    assert judge(PHYSICS, nothing(media), truth) == {"followed": 0.0}


def test_clips_of_several_digits_are_left_to_other_metrics():
    media, truth = records("test", 10, 2)
    for metric in (DIGIT, CAPTION, PHYSICS):
        assert judge(metric, media, truth) == {}


def test_a_medium_that_is_not_judged_is_left_out():
    media, truth = records("test", 10)
    sound = {"audio": media["audio"]}
    for metric in (DIGIT, CAPTION, PHYSICS):
        assert metric.compute(metric.extract(sound, truth)) == {}
    assert set(PITCH.compute(PITCH.extract(sound, truth))) == {"sounds", "true"}
    assert PITCH.compute(PITCH.extract({"video": media["video"]}, truth)) == {}
