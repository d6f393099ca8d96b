"""Sound from sound files and films, fitted to the declared facts."""

import av
import numpy as np
import pytest
import soundfile

from mmjax.errors import UserError
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError


def tone(rate, seconds=1.0, channels=1, hertz=440):
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_exact_files(tmp_path, suffix):
    audio = Audio(samples=4000, rate=8000, channels=2)
    rng = np.random.default_rng(0)
    array = rng.uniform(-1, 1, audio.shape).astype(np.float32)
    path = str(tmp_path / f"sound{suffix}")
    audio.save(path, array)
    found = audio.read(path)
    audio.check(found, path)
    assert np.abs(found - array).max() <= (0 if suffix == ".wav" else 2**-23)


def test_the_bins_of_a_spectrogram_are_where_its_frames_are():
    audio = Audio(samples=4000, rate=8000)
    places = audio.positions((5, 3))
    assert places.shape == (5, 3, 1)
    np.testing.assert_allclose(places[:, 2, 0], [0.05, 0.15, 0.25, 0.35, 0.45])
    np.testing.assert_array_equal(places[:, 0], audio.positions((5,)))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_rates_and_channels(tmp_path, rate, channels):
    path = str(tmp_path / "sound.wav")
    soundfile.write(path, tone(rate, channels=channels), rate, subtype="PCM_16")
    found = Audio(samples=16000, rate=16000, channels=2).read(path)
    assert np.abs(found[200:-200] - tone(16000, channels=2)[200:-200]).max() < 0.01


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp3", "libmp3lame", 44100), ("a.ogg", "libopus", 48000), ("a.m4a", "aac", 44100),
     ("a.mka", "flac", 32000)],
)  # fmt: skip
def test_compressed_files(tmp_path, name, codec, rate):
    path = str(tmp_path / name)
    kind = {"a.mka": "matroska", "a.m4a": "mp4"}.get(name)
    with av.open(path, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        stream.codec_context.open(strict=False)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(tone(rate, channels=2).T), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = rate, 0
        context = stream.codec_context
        blocks = av.AudioResampler(context.format, "stereo", rate, frame_size=context.frame_size)
        for block in blocks.resample(frame) + blocks.resample(None):
            container.mux(stream.encode(block))
        container.mux(stream.encode())
    found = Audio(samples=16000, rate=16000).read(path)[:, 0]
    expected = tone(16000)[:, 0]
    inner = slice(800, -800)
    shifts = range(-40, 41)
    errors = [np.abs(np.roll(found, -s)[inner] - expected[inner]).mean() for s in shifts]
    assert min(errors) < 0.02
    assert abs(shifts[int(np.argmin(errors))]) <= 16  # a millisecond


def test_the_sound_of_a_film(make_clip, flat):
    audio = np.zeros((48000, 2), np.float32)
    audio[24000:24960] = tone(48000, 0.02, 2)
    path = make_clip("a.mp4", flat([0, 250]), [0, 0.5], audio, 48000)
    found = Audio(samples=8000, rate=8000, channels=2).read(path)
    assert abs(np.flatnonzero(np.abs(found[:, 0]) > 0.1)[0] - 4000) <= 8
    part = Audio(samples=4000, rate=8000, channels=1).read(path, 0.25)
    assert abs(np.flatnonzero(np.abs(part[:, 0]) > 0.1)[0] - 2000) <= 8


@pytest.mark.parametrize("name", ["a.wav", "a.mka"])
def test_parts_are_cut_and_padded(tmp_path, name):
    ramp = np.linspace(0.1, 0.9, 8000, dtype=np.float32)[:, None]
    path = str(tmp_path / name)
    if name == "a.wav":
        soundfile.write(path, ramp, 8000, subtype="FLOAT")
    else:
        with av.open(path, "w", format="matroska") as container:
            stream = container.add_stream("pcm_f32le", rate=8000, layout="mono")
            for first in range(0, 8000, 800):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(ramp[first : first + 800].T), format="flt", layout="mono"
                )
                frame.sample_rate, frame.pts = 8000, first
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    audio = Audio(samples=4000, rate=8000)
    assert np.abs(audio.read(path) - ramp[:4000]).max() < 1e-6
    assert np.abs(audio.read(path, 0.25) - ramp[2000:6000]).max() < 1e-6
    late = audio.read(path, 0.75)
    assert np.abs(late[:2000] - ramp[6000:]).max() < 1e-6 and not late[2000:].any()
    with pytest.raises(MediaError, match="lasts 1.00 s, but is to start at 1.50 s"):
        audio.read(path, 1.5)


def test_gaps_and_late_starts_are_silent(tmp_path):
    path = str(tmp_path / "a.mka")
    with av.open(path, "w", format="matroska") as container:
        stream = container.add_stream("pcm_f32le", rate=8000, layout="mono")
        film = container.add_stream("mpeg4", rate=10)
        film.width = film.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(film.encode(picture) + film.encode())
        for first in (1600, 4000):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 800), 0.5, np.float32), format="flt", layout="mono"
            )
            frame.sample_rate, frame.pts = 8000, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = Audio(samples=6000, rate=8000).read(path)[:, 0]
    expected = np.zeros(6000)
    expected[1600:2400] = expected[4000:4800] = 0.5
    assert np.array_equal(found, expected)


def test_both_kinds_of_silence_are_named(make_clip, flat, tmp_path):
    audio = Audio(samples=4000, rate=8000)
    film = make_clip("mute.mp4", flat([0, 250]), [0, 0.5])
    with pytest.raises(MediaError, match=r"mute\.mp4: has no audio stream"):
        audio.read(film)
    film = make_clip("zeros.mp4", flat([0, 9]), [0, 0.5], np.zeros((24000, 1), np.float32), 48000)
    with pytest.raises(MediaError, match=r"zeros\.mp4: is silent: its sound is all zeros"):
        audio.read(film)
    path = str(tmp_path / "zeros.wav")
    soundfile.write(path, np.zeros(8000), 8000)
    with pytest.raises(MediaError, match=r"zeros\.wav: is silent"):
        audio.read(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_truncated_files(tmp_path, suffix):
    path = tmp_path / f"sound{suffix}"
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, 8000), 8000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"sound\.\w+: (is truncated|cannot be decoded)"):
        Audio(samples=8000, rate=8000).read(str(path))


def test_odd_sound_is_named(tmp_path):
    audio = Audio(samples=800, rate=8000, channels=2)
    path = str(tmp_path / "sound.wav")
    for array, reason in (
        (np.zeros((0, 1)), "holds 0 samples"),
        (np.full((800, 1), np.nan), "not finite"),
        (np.full((800, 5), 0.5), "5 channels cannot be mixed to 2"),
    ):
        soundfile.write(path, array, 8000, subtype="FLOAT")
        with pytest.raises(MediaError, match=reason):
            audio.read(path)


def test_an_unknown_suffix_is_refused_when_saving(tmp_path):
    with pytest.raises(UserError, match=r"sound is written as \.wav or \.flac"):
        Audio(samples=8, rate=8000).save(str(tmp_path / "a.mp3"), np.zeros((8, 1), np.float32))
