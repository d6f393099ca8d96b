"""Log mel spectrograms against a sum written out, and how well phases are guessed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio.mel import hann, mel_filters
from mmjax.codecs.audio.spectrogram import LogMel
from mmjax.errors import UserError

MEL = LogMel(rate=8000, window=256, hop=64, bins=40, mean=-4.0, deviation=2.0)
TIME = np.arange(64 * 30) / 8000
CHORD = 0.4 * np.sin(2 * np.pi * 440 * TIME) + 0.2 * np.sin(2 * np.pi * 1234 * TIME + 1)
SOUND = jnp.asarray(np.stack([CHORD, CHORD * np.exp(-9 * TIME)], -1)[None], jnp.float32)


def test_a_frame_is_a_windowed_transform_around_its_place():
    mel = MEL.encode(SOUND)
    assert mel.shape == (1, *MEL.grid(SOUND.shape[1:]), 2) == (1, 30, 40, 2)
    assert MEL.channels(SOUND.shape[1:]) == 2
    for frame, channel in ((7, 0), (12, 1)):
        middle = frame * 64 + 32
        part = np.asarray(SOUND[0, middle - 128 : middle + 128, channel], np.float64) * hann(256)
        magnitudes = mel_filters(8000, 256, 40) @ np.abs(np.fft.rfft(part))
        expected = (np.log(np.maximum(magnitudes, 1e-5)) + 4) / 2
        np.testing.assert_allclose(mel[0, frame, :, channel], expected, atol=0.01)


def magnitudes(sound):
    return np.exp(MEL.deviation * MEL.encode(sound) + MEL.mean)[:, 3:-3]


def test_a_guessed_sound_has_about_the_spectrogram():
    wrong = {}
    for rounds in (0, 32):
        made = jax.jit(dataclasses.replace(MEL, rounds=rounds).decode)(MEL.encode(SOUND))
        assert made.shape == SOUND.shape
        wrong[rounds] = np.linalg.norm(magnitudes(made) - magnitudes(SOUND))
    assert wrong[32] < 0.4 * wrong[0] and wrong[32] < 0.2 * np.linalg.norm(magnitudes(SOUND))


def test_spectra_and_sounds_are_inverse():
    """Of the sound's own spectrum, phases and all, nothing is lost."""
    rows = SOUND[0].T
    made = MEL._sound(MEL._spectrum(rows))
    np.testing.assert_allclose(made[:, 128:-128], rows[:, 128:-128], atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="LogMel takes multiples of 64, such as 64 or 128"):
        MEL.encode(SOUND[:, :100])
    with pytest.raises(UserError, match="window=256 must exceed hop=65 by an even number"):
        LogMel(rate=8000, window=256, hop=65, bins=40)
