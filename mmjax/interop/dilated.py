"""Public names of the encoder and decoder of :mod:`mmjax.codecs.audio.dilated`."""

from mmjax.codecs.audio.dilated import DILATIONS, Decoder, Encoder
from mmjax.interop.audio import Channels, convolution
from mmjax.interop.common import Weight


def half_weights(
    half: Encoder | Decoder, public: str, path: str, factors: tuple[str, str] | None
) -> list[Weight]:
    """The table of an encoder or a decoder.

    Args:
      half: which.
      public: its public name.
      path: where it lies here.
      factors: names of a kernel's two factors; None if kernels are whole.
    """
    encodes, levels = isinstance(half, Encoder), len(half.ratios)
    table = convolution(f"{public}.conv1", f"{path}/conv_in", factors)
    for block in range(levels):
        level = block if encodes else levels - 1 - block
        name, place = f"{public}.block.{block}", f"{path}/level_{level}"
        for unit in range(len(DILATIONS)):
            table += _unit(f"{name}.res_unit{unit + 1}", f"{place}_unit_{unit}", half, factors)
        table += _snake(f"{name}.snake1", f"{place}_snake", half.logarithmic)
        ends = ("conv1", "down") if encodes else ("conv_t1", "up")
        table += convolution(f"{name}.{ends[0]}", f"{place}_{ends[1]}", factors)
    table += _snake(f"{public}.snake1", f"{path}/snake_out", half.logarithmic)
    bias = encodes or half.bias
    return table + convolution(f"{public}.conv2", f"{path}/conv_out", factors, bias)


def _unit(public: str, path: str, half: Encoder | Decoder, factors) -> list[Weight]:
    table = []
    for index in (1, 2):
        table += _snake(f"{public}.snake{index}", f"{path}/snake_{index}", half.logarithmic)
        table += convolution(f"{public}.conv{index}", f"{path}/conv_{index}", factors)
    return table


def _snake(public: str, path: str, logarithmic: bool) -> list[Weight]:
    table = [Channels(f"{public}.alpha", f"{path}/frequency")]
    return table + [Channels(f"{public}.beta", f"{path}/magnitude")] * logarithmic
