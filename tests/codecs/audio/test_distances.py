"""Spectral distances against NumPy, and what windows and sounds are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio.distances import (
    MultiScaleMel,
    MultiScaleMelPower,
    MultiScaleStft,
    stft,
)
from mmjax.codecs.audio.mel import htk_filters, mel_filters
from mmjax.errors import UserError

RANDOM = np.random.default_rng(0)
MADE, REAL = jnp.asarray(RANDOM.normal(0, 0.3, (2, 3, 200, 2)), jnp.float32)
WINDOWS, BINS, RATE = (32, 64), (5, 8), 8000


def spectra(sound, window):
    """Magnitudes ``[B, T, F, C]``, frame by frame."""
    hop, margin = window // 4, 3 * window // 8
    padded = np.pad(np.asarray(sound, np.float64), ((0, 0), (margin, margin), (0, 0)), "reflect")
    shape = np.hanning(window + 1)[:-1, None]
    starts = range(0, (sound.shape[1] // hop) * hop, hop)
    frames = [np.fft.rfft(padded[:, at : at + window] * shape, axis=1) for at in starts]
    return np.abs(np.stack(frames, axis=1))


def test_spectrogram():
    for window in WINDOWS:
        found = np.abs(stft(REAL, window))
        np.testing.assert_allclose(found, spectra(REAL, window), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("magnitudes", "offset"), [(False, 0.0), (True, 0.0), (False, 0.3)])
def test_mel(magnitudes, offset):
    expected = 0
    for window, bins in zip(WINDOWS, BINS, strict=True):
        filters = mel_filters(RATE, window, bins)
        made, real = (np.einsum("btfc,mf->btmc", spectra(x, window), filters) for x in (MADE, REAL))
        logs = np.log(np.maximum(made, 1e-5) + offset) - np.log(np.maximum(real, 1e-5) + offset)
        if magnitudes:
            expected += np.abs(made - real).mean((1, 2, 3)) + (logs**2).mean((1, 2, 3))
        else:
            expected += np.abs(logs).mean((1, 2, 3)) / np.log(10)
    found = MultiScaleMel(RATE, WINDOWS, BINS, magnitudes=magnitudes, offset=offset)(
        None, MADE, REAL
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def htk_triangles(window, bins, lowest):
    """``[bins, window // 2 + 1]``, each as a line from corner to corner."""
    mels = np.linspace(*(2595 * np.log10(1 + np.array([lowest, RATE / 2]) / 700)), bins + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    lines = np.linspace(0, RATE / 2, window // 2 + 1)
    corners = zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    return np.stack([np.interp(lines, (a, b, c), (0, 1, 0)) for a, b, c in corners])


@pytest.mark.parametrize(("lowest", "floor"), [(64.0, 1e-5), (0.0, 1e-9)])
def test_mel_power(lowest, floor):
    expected = []
    for window, bins in zip(WINDOWS, BINS, strict=True):
        filters = htk_triangles(window, bins, lowest)
        np.testing.assert_allclose(htk_filters(RATE, window, bins, lowest), filters, atol=1e-6)
        scale = np.sum(np.hanning(window + 1) ** 2)
        made, real = (
            np.einsum("btfc,mf->btmc", spectra(x, window) ** 2 / scale, filters)
            for x in (MADE, REAL)
        )
        logs = np.log10(made + floor) - np.log10(real + floor)
        expected += [np.abs(made - real).mean((1, 2, 3)), (logs**2).mean((1, 2, 3))]
    distance = MultiScaleMelPower(RATE, WINDOWS, BINS, lowest=lowest, floor=floor)
    found = jax.jit(lambda made, real: distance(None, made, real))(MADE, REAL)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_stft_of_the_middle_and_the_side(offset):
    expected = 0
    turn = jnp.array([[1.0, 1], [1, -1]])
    for window in WINDOWS:
        made, real = spectra(MADE @ turn, window), spectra(REAL @ turn, window)
        size = lambda x: np.sqrt((x**2).sum((1, 2, 3)))  # noqa: E731
        expected += size(made - real) / size(real)
        logs = np.log(made + offset) - np.log(real + offset)
        expected += np.abs(logs).mean((1, 2, 3))
    error = MultiScaleStft(WINDOWS, offset=offset)
    distance = jax.jit(lambda made, real: error(None, made, real))
    found = distance(MADE, REAL)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    mono = distance(MADE[..., :1], REAL[..., :1])
    assert np.all(np.abs(mono - found) > 1e-3)


def test_silence_counts_as_the_quietest_sound():
    noise = jnp.asarray(RANDOM.normal(0, 1e-2, (1, 64 * 200, 1)), jnp.float32)
    convergence = {}
    for name, real in (("as loud", noise), ("silent", jnp.zeros_like(noise))):
        # The second has all of the other term and next to nothing of this.
        whole, without = (
            MultiScaleStft((64,), quietest=x)(None, -noise, real)[0] for x in (1e-2, 1e9)
        )
        convergence[name] = float(whole - without)
    assert convergence["silent"] == pytest.approx(1.0, rel=0.03) and convergence["as loud"] < 1e-4


@pytest.mark.parametrize(
    "distance",
    [
        MultiScaleMel(RATE, WINDOWS, BINS, magnitudes=True),
        MultiScaleMelPower(RATE, WINDOWS, BINS),
        MultiScaleStft(WINDOWS),
    ],
)
def test_equal_and_silent_sounds_have_no_infinite_slope(distance):
    @jax.jit
    def at_itself(sound):
        values, pull = jax.vjp(lambda made: distance(None, made, sound), sound)
        return values, pull(jnp.ones(3))[0]

    for sound in (REAL, jnp.zeros_like(REAL)):
        values, slope = at_itself(sound)
        assert np.all(np.abs(values) < 0.1)
        assert np.all(np.isfinite(slope))


def test_mistakes():
    with pytest.raises(UserError, match="window of 20 samples: give a multiple of 8"):
        stft(REAL, 20)
    with pytest.raises(UserError, match="sound of 200 samples: a window of 1024 takes 256"):
        stft(REAL, 1024)
    with pytest.raises(ValueError, match="bins: give one number for each of the 2 windows"):
        MultiScaleMel(RATE, WINDOWS, (5,))
    with pytest.raises(ValueError, match="bins: give one number for each of the 2 windows"):
        MultiScaleMelPower(RATE, WINDOWS, (5,))
