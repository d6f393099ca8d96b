"""Public names of the encoder and decoder of :mod:`mmjax.codecs.audio.seanet`.

Both public classes number activations and layers in one list.
"""

from mmjax.codecs.audio.seanet import Decoder, Encoder
from mmjax.interop.audio import FACTORS, convolution
from mmjax.interop.common import Weight, scale_shift


def half_weights(half: Encoder | Decoder, public: str, path: str) -> list[Weight]:
    """The table of an encoder or a decoder under its public name and its path here."""
    sizes, levels = half.sizes, range(len(half.sizes.ratios))
    table = _conv(f"{public}.0", f"{path}/conv_in", half)
    if isinstance(half, Encoder):
        place = 1
        for level in levels:
            table += _units(public, place, f"{path}/level_{level}", half)
            place += sizes.units + 1  # an activation
            table += _conv(f"{public}.{place}", f"{path}/level_{level}_down", half)
            place += 1
        table += _memories(f"{public}.{place}.lstm", path, sizes.memories)
        place += 1 + bool(sizes.memories)
    else:
        table += _memories(f"{public}.1.lstm", path, sizes.memories)
        place = 2 + bool(sizes.memories)
        for level in reversed(levels):
            table += _conv(f"{public}.{place}", f"{path}/level_{level}_up", half)
            table += _units(public, place + 1, f"{path}/level_{level}", half)
            place += sizes.units + 2
    return table + _conv(f"{public}.{place}", f"{path}/conv_out", half)


def _units(public: str, place: int, path: str, half: Encoder | Decoder) -> list[Weight]:
    table = []
    for index in range(half.sizes.units):
        name, ours = f"{public}.{place + index}", f"{path}_unit_{index}"
        table += _conv(f"{name}.block.1", f"{ours}/conv_1", half)
        table += _conv(f"{name}.block.3", f"{ours}/conv_2", half)
        if half.sizes.projected:
            table += _conv(f"{name}.shortcut", f"{ours}/shortcut", half)
    return table


def _conv(public: str, path: str, half: Encoder | Decoder) -> list[Weight]:
    norm = half.style.norm
    factors = FACTORS if norm == "weight" else None
    table = convolution(f"{public}.conv", f"{path}/conv", factors)
    return table + (scale_shift(f"{public}.norm", f"{path}/norm") if norm == "group" else [])


def _memories(public: str, path: str, layers: int) -> list[Weight]:
    table = []
    for layer in range(layers):
        ours = f"{path}/memory_{layer}"
        table += [
            Weight(f"{public}.weight_ih_l{layer}", f"{ours}/input", kernel=True),
            Weight(f"{public}.weight_hh_l{layer}", f"{ours}/recurrent", kernel=True),
            Weight(f"{public}.bias_ih_l{layer}", f"{ours}/input_bias"),
            Weight(f"{public}.bias_hh_l{layer}", f"{ours}/recurrent_bias"),
        ]
    return table
