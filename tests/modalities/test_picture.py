"""Pictures for people show what they should."""

import numpy as np

from mmjax.modalities.picture import bars, contact_sheet, waveform_over_spectrogram, written


def test_a_contact_sheet_shows_first_to_last():
    frames = np.arange(48, dtype=np.uint8)[:, None, None, None] * np.ones((1, 24, 24, 1), np.uint8)
    sheet = contact_sheet(frames)
    assert sheet.shape == (4 * 98, 6 * 98, 3)
    cells = sheet.reshape(4, 98, 6, 98, 3)[:, 49, :, 49, 0].ravel()
    assert cells[0] == 0 and cells[-1] == 47 and (np.diff(cells.astype(int)) > 0).all()


def test_an_unfilled_row_is_blank():
    sheet = contact_sheet(np.full((8, 100, 50, 3), 200, np.uint8))
    assert sheet.shape == (2 * 102, 6 * 52, 3)
    assert (sheet[102:, 2 * 52 :] == 96).all()


def test_a_tone_lights_the_row_of_its_pitch():
    rate = 8000
    time = np.arange(rate) / rate
    rows = []
    for hertz in (500, 2000):
        audio = 0.5 * np.sin(2 * np.pi * hertz * time)[:, None].astype(np.float32)
        picture = waveform_over_spectrogram(audio, rate)
        assert picture.shape == (96 + 192, 640, 3)
        rows.append(picture[96:, 100:-100].astype(int).sum((1, 2)).argmax())
    octave = 191 * np.log(2) / np.log(256)
    assert abs(rows[0] - rows[1] - 2 * octave) <= 3


def test_a_waveform_is_as_high_as_its_samples():
    audio = np.zeros((6400, 2), np.float32)
    audio[3200:, 1] = np.resize([0.5, -0.5], 3200)
    picture = waveform_over_spectrogram(audio, 8000)
    ink = (picture[:192] != picture[0, 0]).any(-1)
    assert ink[:96].sum(0).max() <= 2
    assert ink[96:, :320].sum(0).max() <= 2 and abs(ink[96:, 330:].sum(0) - 48).max() <= 2


def test_bars_go_up_and_down():
    picture = bars(np.array([1.0, -1.0, 0.0], np.float32), -1.0, 1.0)
    blue = (picture[:160] == (34, 97, 158)).all(-1)
    assert blue[:80, :64].any() and not blue[81:, :64].any()
    assert blue[81:, 64:128].any() and not blue[:79, 64:128].any()


def test_words_wrap():
    assert written("word " * 40).shape[0] > 2 * written("word").shape[0]
    assert (written("") == 250).mean() > 0.5
