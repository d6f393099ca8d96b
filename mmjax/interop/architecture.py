"""What a public class needs to be read and written: its fields, its names of weights, its table."""

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from mmjax.builder import nearest
from mmjax.errors import UserError
from mmjax.interop.common import Weight
from mmjax.typing import Tree

# Public class name -> where its Architecture is. A new one is a line here and a file of its own.
TABLE = {
    "AutoencoderDC": "mmjax.interop.dc",
    "AutoencoderKL": "mmjax.interop.kl",
    "AutoencoderKLCosmos": "mmjax.interop.cosmos",
    "AutoencoderKLLTX2Audio": "mmjax.interop.ltx2_audio",
    "AutoencoderKLLTX2Video": "mmjax.interop.ltx2_video",
    "AutoencoderKLTemporalDecoder": "mmjax.interop.temporal_decoder",
    "AutoencoderKLWan": "mmjax.interop.wan_vae",
    "AutoencoderOobleck": "mmjax.interop.oobleck",
    "ChameleonVQVAE": "mmjax.interop.vq",
    "DacModel": "mmjax.interop.dac",
    "EncodecModel": "mmjax.interop.encodec",
    "FlavaImageCodebook": "mmjax.interop.dvae",
    "JanusVQVAE": "mmjax.interop.vq",
    "LPIPS": "mmjax.interop.perceptual",
    "LTX2Vocoder": "mmjax.interop.hifi_gan",
    "MMAudioVAE": "mmjax.interop.mmaudio",
    "MMAudioVocoder": "mmjax.interop.bigvgan",
    "MimiModel": "mmjax.interop.mimi",
    "SpeechT5HifiGan": "mmjax.interop.hifi_gan",
    "VQModel": "mmjax.interop.vq",
}
_PER_CALL = ("cache", "hidden", "losses")  # collections that a call leaves behind


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One public class and how it becomes a module here.

    Attributes:
      public: the class's name in ``config.json``.
      library: ``"diffusers"`` or ``"transformers"``.
      module: the class here.
      build: fields of ``config.json`` to the module; UserError for what it cannot be.
      describe: the module to the fields of ``config.json`` that make it.
      weights: the module to its table of weights, in the order of the public state dict.
      inputs: the module to arguments (shapes will do) with which its parameters are initialised.
      modernise: tensors under names of older versions to today's.
    """

    public: str
    library: str
    module: type
    build: Callable[[Mapping[str, Any]], Any]
    describe: Callable[[Any], dict[str, Any]]
    weights: Callable[[Any], list[Weight]]
    inputs: Callable[[Any], tuple]
    modernise: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict

    def shapes(self, module: Any) -> Tree:
        """Shapes and dtypes of the variables that the module keeps; nothing is computed."""
        made = jax.eval_shape(module.init, jax.random.key(0), *self.inputs(module))
        return {name: part for name, part in made.items() if name not in _PER_CALL}


def find(name: str, source: str) -> Architecture:
    """The architecture of a public class; ``source`` is named in the UserError if there is none."""
    if name not in TABLE:
        raise UserError(f"{source}: {name!r} is not known{nearest(name, TABLE)}")
    return importlib.import_module(TABLE[name]).ARCHITECTURES[name]


def candidates(module: Any) -> list[str]:
    """Names of the public classes that ``module`` may be written as."""
    return [name for name in TABLE if isinstance(module, find(name, "").module)]


def class_name(config: Mapping[str, Any], source: str) -> str:
    """The class that a ``config.json`` names; UserError if it names none."""
    named = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
    if not isinstance(named, str):
        raise UserError(f"{source}: names no class (_class_name or architectures)")
    return named


def only(config: Mapping[str, Any], name: str, values: Iterable[Any], default: Any) -> Any:
    """The field ``name``, which must have one of ``values``; UserError if it has another."""
    found, values = config.get(name, default), list(values)
    if found not in values:
        wanted = " or ".join(repr(value) for value in values)
        raise UserError(f"config.json: {name} {found!r} is not supported here, only {wanted}")
    return found
