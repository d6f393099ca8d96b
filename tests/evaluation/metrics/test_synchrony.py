"""Synchrony and the detectors' own score on clips whose answer is known."""

import itertools

import numpy as np
import pytest

from mmjax.data.bouncing_digits.picture import draw
from mmjax.data.bouncing_digits.sound import strike
from mmjax.evaluation.metrics.bounces import visible_bounces
from mmjax.evaluation.metrics.detectors import Detectors
from mmjax.evaluation.metrics.matching import f1, match
from mmjax.evaluation.metrics.onsets import sound_onsets
from mmjax.evaluation.metrics.synchrony import Synchrony
from tests.evaluation.metrics.clips import (
    FPS,
    RATE,
    judge,
    late,
    nothing,
    records,
    soft,
    still,
)

SYNCHRONY, DETECTORS = Synchrony(FPS, RATE), Detectors(FPS, RATE)


def seen(video: np.ndarray, digits: int = 1) -> list[np.ndarray]:
    found = visible_bounces(video, np.full(len(video), digits))
    return [clip[~np.isnan(clip[:, 0])] for clip in found]


@pytest.mark.parametrize("split", ["test", "train"])
def test_detectors_find_the_true_events_of_one_digit(split):
    media, truth = records(split, 100)
    figures = judge(DETECTORS, media, truth)
    assert figures["bounces_f1"] >= 0.98 and figures["onsets_f1"] >= 0.98


@pytest.mark.parametrize(("digits", "bounces", "onsets"), [(2, 0.85, 0.9), (3, 0.8, 0.85)])
def test_several_digits_are_scored_apart(digits, bounces, onsets):
    media, truth = records("test", 100, digits)
    figures = judge(DETECTORS, media, truth)
    assert set(figures) == {f"bounces_f1_{digits}", f"onsets_f1_{digits}"}
    assert figures[f"bounces_f1_{digits}"] >= bounces
    assert figures[f"onsets_f1_{digits}"] >= onsets


def test_detectors_bear_softness_and_noise():
    media, truth = records("test", 100)
    rng = np.random.default_rng(0)
    noisy = media["audio"] * 0.6 + rng.normal(0, 0.01, media["audio"].shape)
    figures = judge(
        DETECTORS, {"video": soft(media["video"]), "audio": noisy.astype(np.float32)}, truth
    )
    assert figures["bounces_f1"] >= 0.95 and figures["onsets_f1"] >= 0.95


def test_bounces_are_timed_within_the_frame_and_their_walls_named():
    media, truth = records("test", 60)
    errors, walls = [], []
    for bounces, events in zip(seen(media["video"]), truth["events"], strict=True):
        events = events[events[:, 0] >= 0]
        if len(bounces) == len(events):
            errors += list(bounces[:, 0] / FPS - events[:, 0])
            walls += list(bounces[:, 1] == events[:, 2])
    assert len(errors) > 120
    assert np.mean(np.abs(errors)) < 0.005 and np.mean(walls) > 0.98


def test_a_turn_away_from_the_walls_is_no_bounce():
    media, _ = records("test", 40)
    framed = np.pad(media["video"], ((0, 0), (0, 0), (4, 4), (4, 4), (0, 0)))
    assert sum(map(len, seen(media["video"]))) > 80
    assert sum(map(len, seen(framed))) == 0


def test_the_top_of_a_throw_is_no_bounce():
    sprite = np.full((8, 6), 255, np.float32)
    times = np.arange(24) / FPS
    touching = 4 + 30 * (times - 0.96) ** 2  # turns smoothly with its upper edge at the ceiling
    centres = np.stack([np.full(24, 12.0), np.minimum(touching, 20)], axis=1)
    hanging = draw(sprite, centres, 24, 24)[:, :, :, None].astype(np.uint8)
    assert not len(seen(hanging[None])[0])


def test_onsets_are_timed_within_milliseconds():
    times = np.array([0.3, 0.62, 1.0, 1.5])
    tone = strike(times, np.array([0.4, 0.1, 0.3, 0.2]), np.linspace(0, 1, 4), 475.0, 15360, RATE)
    onsets = sound_onsets(tone[None].astype(np.float32), RATE)[0]
    np.testing.assert_allclose(onsets[~np.isnan(onsets)], times, atol=0.005)


def test_real_clips_are_synchronous_and_exchanged_sound_is_not():
    media, truth = records("test", 100)
    real = judge(SYNCHRONY, media, truth)
    assert real["f1"] >= 0.98 and real["offset_ms"] < 5 and abs(real["lag_ms"]) < 5
    assert real["bounces"] == pytest.approx((truth["events"][..., 0] >= 0).sum() / 100, rel=0.02)
    exchanged = media | {"audio": np.roll(media["audio"], 1, axis=0)}
    assert judge(SYNCHRONY, exchanged, truth)["f1"] < 0.4


@pytest.mark.parametrize(("milliseconds", "in_time"), [(40, True), (120, False), (200, False)])
def test_late_sound_is_measured(milliseconds, in_time):
    media, truth = records("test", 60)
    delayed = media | {"audio": late(media["audio"], milliseconds)}
    figures = judge(SYNCHRONY, delayed, truth)
    assert figures["lag_ms"] == pytest.approx(milliseconds, abs=5)
    assert figures["offset_ms_median"] == pytest.approx(milliseconds, abs=5)
    assert (figures["f1"] > 0.95) if in_time else (figures["f1"] < 0.15)
    assert figures["f1"] == judge(Synchrony(FPS, RATE, 1.0), delayed, truth)["f1"]


def test_a_wider_window_forgives_more_and_says_so():
    media, truth = records("test", 40)
    delayed = media | {"audio": late(media["audio"], 120)}
    wide = Synchrony(FPS, RATE, frames=2.0)
    assert judge(wide, delayed, truth)["f1"] > 0.95
    assert wide.spec_id != SYNCHRONY.spec_id


def test_missing_halves_of_the_clip_count_as_nothing():
    media, truth = records("test", 40)
    for broken, found in (
        (media | {"audio": nothing(media)["audio"]}, {"bounces"}),
        (media | {"video": nothing(media)["video"]}, {"sounds"}),
        (still(media), {"sounds"}),
        (nothing(media), set()),
    ):
        figures = judge(SYNCHRONY, broken, truth)
        shares = ("f1", "bounces_with_sound", "sounds_with_bounce")
        assert {figures[name] for name in shares} == {0.0}
        assert {name for name in ("bounces", "sounds") if figures[name]} == found
        assert "offset_ms" not in figures and "lag_ms" not in figures


def test_a_mixed_set_keeps_the_numbers_of_digits_apart():
    one, two = records("test", 40), records("test", 40, 2)
    media, truth = (
        {name: np.concatenate([fields[0][name], fields[1][name]]) for name in fields[0]}
        for fields in zip(one, two, strict=True)
    )
    mixed = judge(SYNCHRONY, media, truth)
    assert mixed == judge(SYNCHRONY, *one) | judge(SYNCHRONY, *two)


def test_without_truth_clips_count_as_of_one_digit():
    media, truth = records("test", 20)
    assert judge(SYNCHRONY, media, {}) == judge(SYNCHRONY, media, truth)
    assert DETECTORS.compute(DETECTORS.extract(media, {})) == {}


def test_a_medium_that_is_not_judged_is_left_out():
    media, truth = records("test", 20)
    sound = {"audio": media["audio"]}
    assert SYNCHRONY.compute(SYNCHRONY.extract(sound, truth)) == {}
    assert set(DETECTORS.compute(DETECTORS.extract(sound, truth))) == {"onsets_f1"}


def test_broken_samples_are_silence():
    media, truth = records("test", 10)
    broken = np.full_like(media["audio"], np.nan)
    assert judge(SYNCHRONY, media | {"audio": broken}, truth)["sounds"] == 0


def test_matching_is_optimal():
    rng = np.random.default_rng(0)
    for _ in range(100):
        first, second = (np.sort(rng.uniform(0, 1, rng.integers(0, 5))) for _ in range(2))
        pairs = match(first, second, 0.2)
        fewer, more = sorted((first, second), key=len)
        best = max(
            (
                (len(near), -sum(near))
                for order in itertools.permutations(more, len(fewer))
                for near in [[d for d in np.abs(fewer - order) if d <= 0.2]]
            ),
            default=(0, 0),
        )
        distance = np.abs(first[pairs[:, 0]] - second[pairs[:, 1]]).sum()
        assert len(pairs) == best[0]
        assert distance == pytest.approx(-best[1])


def test_f1_is_the_harmonic_mean():
    assert f1(3, 4, 6) == pytest.approx(2 / (1 / (3 / 4) + 1 / (3 / 6)))
    assert f1(0, 0, 0) == f1(0, 3, 0) == 0
