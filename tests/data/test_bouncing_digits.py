"""Clips of bouncing digits against independent simulations and measurements."""

import functools
import pickle
import re

import numpy as np
import pytest

from mmjax.data.bouncing_digits import BouncingDigits
from mmjax.data.bouncing_digits.captions import caption, tokens
from mmjax.data.bouncing_digits.sound import DECAY, PITCHES
from mmjax.data.bouncing_digits.world import CEILING, FLOOR, LEFT, RIGHT, World, time_to_cross
from mmjax.data.digits import NAMES, handwritten
from mmjax.errors import UserError

FRAME = 640  # samples


@functools.cache
def drawn(source: BouncingDigits, index: int) -> dict:
    """A record that several tests look at."""
    return source[index]


@pytest.fixture(scope="module")
def single():
    return BouncingDigits("test")


@pytest.fixture(scope="module")
def several():
    return BouncingDigits("train", digits=(2, 3))


def real(events: np.ndarray) -> np.ndarray:
    return events[events[:, 0] >= 0]


def record_bytes(record: dict) -> dict:
    return {key: value if key == "text" else value.tobytes() for key, value in record.items()}


def test_fields_have_the_declared_shapes(several):
    record = several[3]
    expected = {
        "video": ((24, 24, 24, 1), np.uint8),
        "audio": ((15360, 2), np.float32),
        "image": ((24, 24, 1), np.uint8),
        "action": ((12,), np.float32),
        "digits": ((3,), np.int32),
        "label": ((), np.int32),
        "events": ((18, 5), np.float32),
    }
    assert {k: (v.shape, v.dtype) for k, v in record.items() if k != "text"} == expected
    assert np.array_equal(record["image"], record["video"][0])
    assert record["label"] == record["digits"][0]


def test_a_record_is_a_pure_function_of_seed_split_and_index(several):
    first = record_bytes(several[5])
    assert record_bytes(pickle.loads(pickle.dumps(several))[5]) == first
    assert record_bytes(BouncingDigits("train", digits=(2, 3))[np.int64(5)]) == first
    others = [
        several[6],
        BouncingDigits("train", digits=(2, 3), seed=1)[5],
        BouncingDigits("test", digits=(2, 3))[5],
    ]
    for other in others:
        assert record_bytes(other)["audio"] != first["audio"]
        assert record_bytes(other)["video"] != first["video"]


def test_the_splits_share_no_handwriting():
    train, test = (
        {picture.tobytes() for picture in handwritten(split)[0]} for split in ("train", "test")
    )
    assert len(train) > 1400 and len(test) > 350 and not train & test
    assert set(handwritten("test")[1]) == set(range(10))


def stepped_bounces(world: World, box, duration: float, step: float = 2e-5) -> list:
    """The bounces found by plain time stepping, each instant located by linear interpolation."""
    position, velocity = [box.x, box.y], [box.velocity_x, box.velocity_y]
    low = [box.width / 2, box.height / 2]
    high = [world.width - box.width / 2, world.height - box.height / 2]
    rolling = box.y == high[1] and box.velocity_y == 0
    walls, found, now = ((LEFT, RIGHT), (CEILING, FLOOR)), [], 0.0
    while now < duration:
        if rolling:
            slower = world.friction * world.gravity * step
            velocity[0] = np.sign(velocity[0]) * max(abs(velocity[0]) - slower, 0)
        else:
            velocity[1] += world.gravity * step
        for axis in (0, 1):
            before = position[axis]
            position[axis] += velocity[axis] * step
            for bound, side, outward in ((low, 0, -1), (high, 1, 1)):
                beyond = (position[axis] - bound[axis]) * outward
                if beyond <= 0 or velocity[axis] * outward <= 0:
                    continue
                part = 1 - beyond / abs(position[axis] - before)
                position[axis] = bound[axis]
                speed = abs(velocity[axis])
                velocity[axis] *= -world.restitution
                velocity[1 - axis] *= 1 - world.friction
                if axis == 1 and side == 1 and abs(velocity[1]) < world.rest_speed:
                    rolling, velocity[1] = True, 0.0
                else:
                    found.append((now + part * step, walls[axis][side], position[0], speed))
        now += step
    return found


@pytest.mark.parametrize("index", range(6))
def test_events_match_time_stepping(several, index):
    scene = several.scene(index)
    expected = sorted(
        (time, which, wall, x, speed)
        for which, body in enumerate(scene.bodies)
        for time, wall, x, speed in stepped_bounces(scene.world, body.box, several.duration)
    )
    events = real(several[index]["events"])
    assert len(events) == len(expected)
    np.testing.assert_array_equal(events[:, 1:3], np.array(expected)[:, 1:3])
    np.testing.assert_allclose(events[:, 0], np.array(expected)[:, 0], atol=2e-4)
    np.testing.assert_allclose(events[:, 3], np.array(expected)[:, 3], atol=1e-2)
    np.testing.assert_allclose(events[:, 4], np.array(expected)[:, 4], atol=2e-2)


def test_time_to_cross_is_the_root_of_the_motion():
    rng = np.random.default_rng(0)
    for _ in range(200):
        distance, velocity, acceleration = rng.uniform(0, 9), rng.normal(0, 9), rng.normal(0, 9)
        time = time_to_cross(distance, velocity, acceleration, 1)
        grid = np.linspace(0, 50, 500_001)
        beyond = velocity * grid + acceleration * grid**2 / 2 > distance
        if beyond.any():
            assert abs(time - grid[beyond.argmax()]) <= 1.1e-4
        else:
            assert time > 50


def test_bounces_can_be_told_apart(single):
    for index in range(200):
        times = real(drawn(single, index)["events"])[:, 0]
        assert 1 <= len(times) <= 6
        assert np.diff(times).min(initial=1) >= 3 / single.fps - 1e-6
        assert times[0] >= 2 / single.fps - 1e-6
        assert times[-1] <= single.duration - 3 / single.fps + 1e-6


def test_the_centroid_follows_the_physics_within_the_walls(single):
    grid = np.arange(24) + 0.5
    for index in range(20):
        body = single.scene(index).bodies[0]
        centres = body.track.centres(np.arange(24) / single.fps)
        extent = np.array([body.box.width, body.box.height])
        assert (centres >= extent / 2 - 1e-9).all() and (centres <= 24 - extent / 2 + 1e-9).all()

        video = single[index]["video"][..., 0].astype(float)
        mass = video.sum((1, 2))
        np.testing.assert_allclose(mass, mass[0], rtol=0.01)  # nothing is cut off by a wall
        seen = np.stack([(video.sum(1) @ grid) / mass, (video.sum(2) @ grid) / mass], axis=1)
        offset = seen - centres
        assert np.abs(offset - offset.mean(0)).max() < 0.05


def novelty(audio: np.ndarray) -> np.ndarray:
    """The sound without what the previous frame's tones have decayed to: nothing but strikes.

    All pitches have a whole number of periods in a frame, so what rings on is the same waveform.
    """
    ringing = np.zeros_like(audio)
    ringing[FRAME:] = audio[:-FRAME] * np.exp(-FRAME / 8000 / DECAY)
    return np.abs(audio - ringing).max(axis=1)


def test_each_bounce_starts_a_sound_within_a_millisecond(single):
    for index in range(50):
        record = single[index]
        strikes = novelty(record["audio"]) > 0.01
        for time in real(record["events"])[:, 0]:
            first = int(np.ceil(time * 8000 - 1e-3))
            assert not strikes[first - FRAME // 2 : first - 1].any()
            assert strikes[first : first + 8].any()


def test_silence_without_bounces(single):
    record = single[0]
    first = int(real(record["events"])[0, 0] * 8000)
    assert not record["audio"][:first].any() and record["audio"][first:].any()


@pytest.mark.parametrize("index", range(10))
def test_pitch_is_the_digits(single, index):
    record = single[index]
    spectrum = np.abs(np.fft.rfft(record["audio"].sum(1)))
    loudest = np.fft.rfftfreq(15360, 1 / 8000)[spectrum.argmax()]
    assert abs(loudest - PITCHES[record["label"]]) < 2


def test_pitches_repeat_in_every_frame():
    assert all((pitch / 12.5).is_integer() for pitch in PITCHES)
    assert len(set(PITCHES)) == 10 and 300 <= min(PITCHES) and max(PITCHES) <= 2500


def test_pan_and_loudness_follow_position_and_speed(single):
    powers, speeds = [], []
    for index in range(60):
        record = single[index]
        events = real(record["events"])
        first = int(np.ceil(events[0, 0] * 8000))
        left, right = np.abs(record["audio"][first : first + 400]).max(0)
        assert (left > right) == (events[0, 3] < 12)
        powers.append(np.hypot(left, right))
        speeds.append(events[0, 4])
    assert np.corrcoef(powers, speeds)[0, 1] > 0.95
    assert max(powers) < 0.42


NUMBERS = {name: value for value, name in enumerate(NAMES)} | {str(n): n for n in range(19)}
TIMES = r"(?:(?P<adverb>once|twice)|(?P<number>\w+) times?)"
WALLS = {"floor": FLOOR, "ceiling": CEILING, "left wall": LEFT, "right wall": RIGHT}


def stated(match: re.Match) -> int:
    adverbs = {"once": 1, "twice": 2}
    return adverbs.get(match["adverb"]) or NUMBERS[match["number"]]


def test_captions_of_one_digit_state_it_and_its_counts(single):
    seen = set()
    for index in range(200):
        record = drawn(single, index)
        walls = real(record["events"])[:, 2]
        subject = re.match(
            r"(?:an?|the)(?: (?:digit|number|handwritten|small|big))* (\w+) ", record["text"]
        )
        assert NUMBERS[subject[1]] == record["label"], record["text"]
        counted = re.search(rf"(?:bounces|rings) {TIMES}", record["text"])
        hit = re.search(
            rf"hits the (?P<wall>floor|ceiling|left wall|right wall) {TIMES}", record["text"]
        )
        if counted:
            assert stated(counted) == len(walls), record["text"]
        if hit:
            assert stated(hit) == (walls == WALLS[hit["wall"]]).sum(), record["text"]
        assert counted or hit or record["text"].endswith("bounces")
        seen.add("counted" if counted else "hit" if hit else "plain")
    assert seen == {"counted", "hit", "plain"}


def test_captions_of_several_digits_state_each_and_the_counts(several):
    seen = set()
    for index in range(200):
        record = drawn(several, index)
        which = real(record["events"])[:, 1]
        counts = [(which == k).sum() for k in range((record["digits"] >= 0).sum())]
        named = re.findall(r"\ban? (\w+)", record["text"])
        assert [NUMBERS[name] for name in named] == [d for d in record["digits"] if d >= 0]
        each = [stated(match) for match in re.finditer(rf"bounces {TIMES}", record["text"])]
        total = re.search(rf"bounce {TIMES} in all", record["text"])
        assert each in ([], counts), record["text"]
        assert total is None or stated(total) == sum(counts), record["text"]
        seen |= {"each"} if each else {"total"} if total else {"plain"}
    assert seen == {"each", "total", "plain"}


def test_captions_keep_to_the_vocabulary(single, several):
    words = set(single.facts["words"])
    assert len(words) < 80 and words >= set(tokens("a seven bounces three times"))
    used = {
        word
        for source in (single, several)
        for i in range(200)
        for word in tokens(drawn(source, i)["text"])
    }
    assert used <= words
    assert single.facts["pitches"] == PITCHES and single.facts["rate"] == 8000


def test_the_prompted_sentence_is_in_the_grammar(single):
    scenes = (single.scene(index) for index in range(400))
    bodies = next(
        scene.bodies
        for scene in scenes
        if scene.bodies[0].label == 7 and len(scene.bodies[0].track.bounces) == 3
    )
    drawn = {caption(np.random.default_rng(seed), bodies, single.size) for seed in range(200)}
    assert "a seven bounces three times" in drawn


def test_the_action_sets_the_clip_off(several):
    for index in range(5):
        record, scene = several[index], several.scene(index)
        action = record["action"].reshape(3, 4)
        assert not action[len(scene.bodies) :].any()
        for row, body in zip(action, scene.bodies, strict=False):
            early = np.array([0.0, 0.01])
            start, after = body.track.centres(early) / 24
            np.testing.assert_allclose(row[:2], start, atol=1e-6)
            np.testing.assert_allclose(row[2:], (after - start) / 0.01, atol=0.05)


def test_other_sizes_and_clocks():
    source = BouncingDigits(
        "train", frames=32, height=32, width=48, fps=16.0, rate=16000, size=(10, 14)
    )
    record = source[0]
    assert record["video"].shape == (32, 32, 48, 1) and record["audio"].shape == (32000, 2)
    assert record["events"].shape[0] >= len(real(record["events"])) > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "dev"}, "dev"),
        ({"digits": (2, 4)}, "from 1 to 3"),
        ({"digits": (3, 1)}, "ordered"),
        ({"size": (8, 20)}, "half"),
        ({"frames": 5}, "less than a second"),
    ],
)
def test_impossible_settings_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        BouncingDigits(**({"split": "train"} | fields))


def test_records_outside_the_length_are_refused():
    source = BouncingDigits("train", length=3)
    assert len(source) == 3
    for index in (3, -1):
        with pytest.raises(IndexError):
            source[index]
