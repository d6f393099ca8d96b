"""Pictures of data for people: contact sheets, waveforms with spectrograms, bars, written words."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmjax.typing import Float, UInt8

_PAPER, _INK, _LINE, _FRAME = (250, 250, 247), (38, 38, 44), (34, 97, 158), (96, 96, 104)
_CELL = 96  # pixels, the least height of a picture in a contact sheet
_MOST_CELLS = 24
_WIDTH, _WAVE, _SPECTRUM = 640, 96, 192  # pixels of a picture of sound
_WINDOW = 512  # samples of a spectrum
_DECIBELS = 80.0
_HEAT = np.array(  # from silence to loud
    [(12, 8, 38), (82, 18, 110), (160, 42, 100), (226, 88, 52), (250, 168, 40), (252, 254, 190)]
)


def to_rgb(picture: UInt8[np.ndarray, "*axes C"]) -> UInt8[np.ndarray, "*axes 3"]:
    """Grey (C = 1) as RGB; RGB (C = 3) as it is."""
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:-1], 3)))


def contact_sheet(frames: UInt8[np.ndarray, "T H W C"]) -> UInt8[np.ndarray, "I J 3"]:
    """At most 24 frames, evenly spread with the first and the last, in reading order.

    Small frames are enlarged by repeating their pixels.
    """
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _MOST_CELLS)).round().astype(int)
    factor = max(1, -(-_CELL // frames.shape[1]))
    cells = to_rgb(frames[chosen]).repeat(factor, axis=1).repeat(factor, axis=2)
    cells = np.pad(cells, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=_FRAME[0])
    columns = min(len(cells), 6)
    rows = -(-len(cells) // columns)
    blank = np.full((rows * columns - len(cells), *cells.shape[1:]), _FRAME[0], np.uint8)
    sheet = np.concatenate([cells, blank]).reshape(rows, columns, *cells.shape[1:])
    return sheet.swapaxes(1, 2).reshape(rows * cells.shape[1], columns * cells.shape[2], 3)


def waveform_over_spectrogram(
    audio: Float[np.ndarray, "L C"], rate: int
) -> UInt8[np.ndarray, "I J 3"]:
    """One waveform per channel, then a spectrogram in decibels with low frequencies at the foot."""
    waves = [_waveform(channel) for channel in audio.T]
    rows = [*waves, _spectrogram(audio.mean(axis=1), rate)]
    return np.concatenate(rows)


def bars(
    values: Float[np.ndarray, "A"], low: float | int, high: float | int
) -> UInt8[np.ndarray, "H W 3"]:
    """One bar per value from the middle of the range, with the value beneath."""
    width, height, foot = 64, 160, 24
    image = Image.new("RGB", (width * len(values), height + foot), _PAPER)
    draw = ImageDraw.Draw(image)
    for index, value in enumerate(values):
        part = (np.clip(value, low, high) - low) / (high - low)
        top, bottom = sorted((round(height * (1 - part)), height // 2))
        left = index * width
        draw.rectangle((left + 8, top, left + width - 8, bottom), fill=_LINE)
        draw.text((left + 8, height + 4), f"{value:.2f}", fill=_INK, font=_font(13))
    draw.line((0, height // 2, image.width, height // 2), fill=_FRAME)
    return np.asarray(image)


def written(text: str) -> UInt8[np.ndarray, "H W 3"]:
    """Words on paper, wrapped at 48 letters."""
    lines = "\n".join(textwrap.wrap(text, 48) or [""])
    font = _font(20)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    _, _, right, bottom = measure.multiline_textbbox((0, 0), lines, font=font)
    image = Image.new("RGB", (round(right) + 32, round(bottom) + 32), _PAPER)
    ImageDraw.Draw(image).multiline_text((16, 16), lines, fill=_INK, font=font)
    return np.asarray(image)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _waveform(channel: Float[np.ndarray, "L"]) -> UInt8[np.ndarray, "H W 3"]:
    """The range of the samples behind each column of pixels."""
    edges = np.linspace(0, len(channel), _WIDTH + 1).astype(int)
    image = Image.new("RGB", (_WIDTH, _WAVE), _PAPER)
    draw = ImageDraw.Draw(image)
    for column, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        piece = channel[first : max(last, first + 1)]
        top, bottom = ((1 - np.clip((piece.max(), piece.min()), -1, 1)) * (_WAVE - 1) / 2).round()
        draw.line((column, top, column, bottom), fill=_LINE)
    return np.asarray(image)


def _spectrogram(mono: Float[np.ndarray, "L"], rate: int) -> UInt8[np.ndarray, "H W 3"]:
    """Magnitudes in decibels below the loudest: columns of time, rows of log frequency."""
    padded = np.pad(mono, _WINDOW // 2)
    starts = np.linspace(0, len(padded) - _WINDOW, _WIDTH).round().astype(int)
    windows = padded[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    magnitude = np.abs(np.fft.rfft(windows)) + 1e-9
    decibels = 20 * np.log10(magnitude / max(magnitude.max(), 1e-4))
    bins = np.geomspace(1, _WINDOW // 2, _SPECTRUM)  # the first bin is rate / 512
    level = np.array([np.interp(bins, np.arange(decibels.shape[1]), row) for row in decibels])
    level = np.clip(1 + level.T[::-1] / _DECIBELS, 0, 1) * (len(_HEAT) - 1)
    colour = [np.interp(level, np.arange(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)]
    image = Image.fromarray(np.stack(colour, axis=-1).round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for hertz in (100, 300, 1000, 3000, 10000):
        if rate / _WINDOW < hertz < rate / 2:
            place = np.log(hertz * _WINDOW / rate) / np.log(_WINDOW // 2)
            row = round((1 - place) * (_SPECTRUM - 1))
            draw.text((4, row - 7), f"{hertz} Hz", fill=(255, 255, 255), font=_font(11))
    return np.asarray(image)
