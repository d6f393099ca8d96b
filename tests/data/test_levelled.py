"""Sounds at one loudness: the standard's figure for a tone, no clipping, silence left alone."""

import numpy as np
import pytest

from mmjax.data.levelled import Levelled
from mmjax.errors import UserError
from mmjax.modalities.audio import Audio
from mmjax.modalities.image import Image

RATE = 48_000
SOUND = {"audio": Audio(samples=RATE, rate=RATE)}


def tone(amplitude, seconds=1.0, channels=1):
    times = np.arange(int(RATE * seconds)) / RATE
    wave = amplitude * np.sin(2 * np.pi * 997 * times)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def test_a_tone_has_the_loudness_that_the_standard_says():
    # A full tone of 997 Hz in one channel reads -3.01 LUFS (BS.1770-4, annex 1).
    quiet, loud = Levelled([{"audio": tone(0.01)}, {"audio": tone(0.9)}], SOUND)
    expected = 10 ** ((-16.0 + 3.01) / 20)
    for record in (quiet, loud):
        assert record["audio"].dtype == np.float32
        np.testing.assert_allclose(np.abs(record["audio"]).max(), expected, rtol=0.01)


def test_channels_add_up_and_keep_their_balance():
    sound = tone(0.05, channels=2) * np.float32([1.0, 0.5])
    (record,) = Levelled([{"audio": sound, "label": 3}], SOUND)
    power = np.square(record["audio"]).mean(axis=0)
    np.testing.assert_allclose(power[0] / power[1], 4.0, rtol=1e-4)
    np.testing.assert_allclose(power.sum(), 0.5 * 10 ** ((-16.0 + 3.01) / 10), rtol=0.02)
    assert record["label"] == 3


def test_peaks_stay_within_full_scale():
    click = tone(0.01)
    click[1000] = 0.5
    (record,) = Levelled([{"audio": click}], SOUND)
    np.testing.assert_allclose(np.abs(record["audio"]).max(), 1.0, rtol=1e-6)


def test_short_sounds_are_measured_and_silence_is_left():
    short, silent = Levelled([{"audio": tone(0.01, 0.1)}, {"audio": np.zeros((RATE, 1))}], SOUND)
    assert 0.05 < np.abs(short["audio"]).max() <= 1.0
    assert not silent["audio"].any()


def test_names_and_mistakes():
    class Named(list):
        def name_of(self, index):
            return f"record {index}"

    levelled = Levelled(Named([{"other": 1}]), SOUND)
    assert levelled.name_of(0) == "record 0" and len(levelled) == 1 and levelled[0] == {"other": 1}
    with pytest.raises(UserError, match="'audio' is no sound"):
        Levelled([], {"audio": Image(height=4, width=4)})
    with pytest.raises(UserError, match="LUFS"):
        Levelled([], SOUND, loudness=3)
