"""Codecs here and their public references, with the same random weights, on the same input."""

import dataclasses
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.common import THREADS, Worker, alternate, summarise

OURS = "mmjax"
TOLERANCE = 1e-3  # of the output's spread


@dataclasses.dataclass(frozen=True)
class Case:
    """One architecture at one size.

    Attributes:
      library: of the reference.
      name: its class there.
      config: its arguments.
      shape: of the input, channels last.
      codes: whether latents are codes, which are decoded as such.
    """

    library: str
    name: str
    config: Mapping[str, Any]
    shape: tuple[int, ...]
    codes: bool = False


CASES = {
    "image KL": Case(
        "diffusers", "AutoencoderKL",
        {
            "block_out_channels": (64, 128, 128), "layers_per_block": 2, "latent_channels": 4,
            "down_block_types": ("DownEncoderBlock2D",) * 3,
            "up_block_types": ("UpDecoderBlock2D",) * 3,
        },
        (2, 128, 128, 3),
    ),
    "image f32": Case(
        "diffusers", "AutoencoderDC",
        {
            "latent_channels": 16, "attention_head_dim": 16,
            "encoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "encoder_block_out_channels": (64, 128, 128),
            "decoder_block_out_channels": (64, 128, 128),
            "encoder_layers_per_block": (2, 2, 2), "decoder_layers_per_block": (2, 2, 2),
            "encoder_qkv_multiscales": ((), (), (5,)), "decoder_qkv_multiscales": ((), (), (5,)),
            "upsample_block_type": "interpolate", "downsample_block_type": "conv",
            "decoder_norm_types": "rms_norm", "decoder_act_fns": "silu",
        },
        (2, 128, 128, 3),
    ),
    "video, Wan 2.1": Case(
        "diffusers", "AutoencoderKLWan",
        {"base_dim": 32, "dim_mult": [1, 2, 2], "num_res_blocks": 1, "z_dim": 4,
         "temperal_downsample": [False, True], "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4},
        (1, 9, 64, 64, 3),
    ),
    "sound, EnCodec": Case(
        "transformers", "EncodecModel",
        {"target_bandwidths": [6.0], "num_filters": 32, "upsampling_ratios": [8, 5, 4, 2]},
        (2, 24_000, 1), codes=True,
    ),
    "sound, DAC": Case(
        "transformers", "DacModel",
        {"encoder_hidden_size": 32, "decoder_hidden_size": 256, "n_codebooks": 9},
        (2, 512 * 43, 1), codes=True,
    ),
}  # fmt: skip


class Reference:
    """The public class, compiled by nothing, as its users run it."""

    def __init__(self, case: Case):
        import importlib

        import torch

        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        self._torch, self._case = torch, case
        library = importlib.import_module(case.library)
        if case.library == "diffusers":
            self._model = getattr(library, case.name)(**case.config).eval()
        else:
            config = getattr(library, case.name.replace("Model", "Config"))(**case.config)
            self._model = getattr(library, case.name)(config).eval()

    def save(self) -> str:
        """The folder of its weights, with codebooks that do not all hold zeros."""
        with self._torch.no_grad():
            for name, buffer in self._model.named_buffers():
                if name.endswith(("embed", "embed_avg")):
                    buffer.copy_(self._torch.randn_like(buffer))
        self._folder = tempfile.TemporaryDirectory()
        self._model.save_pretrained(self._folder.name)
        return self._folder.name

    def prepare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Takes the input; what it encodes and decodes."""
        self._input = self._torch.from_numpy(np.moveaxis(given["input"], -1, 1).copy())
        self._latents = self.encode()
        latents = self._latents[0] if self._case.name == "EncodecModel" else self._latents
        return {
            "latents": np.moveaxis(latents.numpy(), 1, -1),
            "output": np.moveaxis(self.decode().numpy(), 1, -1),
        }

    def encode(self) -> Any:
        """The latents, or the codes, of the input."""
        with self._torch.no_grad():
            if self._case.codes:
                return self._model.encode(self._input).audio_codes
            found = self._model.encode(self._input)
            return found.latent if hasattr(found, "latent") else found.latent_dist.mode()

    def decode(self) -> Any:
        """What the latents become."""
        with self._torch.no_grad():
            if self._case.name == "EncodecModel":
                return self._model.decode(self._latents, [None]).audio_values
            if self._case.name == "DacModel":
                return self._model.decode(audio_codes=self._latents).audio_values[:, None]
            return self._model.decode(self._latents).sample


class Mmjax:
    """The module that reads the reference's folder, compiled."""

    def __init__(self, case: Case):
        from mmjax.training.memory import keep_freed_memory

        keep_freed_memory()
        self._case = case

    def prepare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the weights; what it makes of the input and of the reference's latents."""
        import jax
        import jax.numpy as jnp

        from mmjax.interop import load_pretrained

        module, variables = load_pretrained(given["folder"])
        variables = {k: v for k, v in variables.items() if k != "extras"}

        def encode(variables, x):
            found = module.apply(variables, x, method="encode")
            return found.codes if self._case.codes else found.mean

        def decode(variables, z):
            return module.apply(variables, z, method="decode")

        self._variables, self._input = variables, jnp.asarray(given["input"])
        self._latents = jnp.asarray(given["latents"])
        self._encode, self._decode = jax.jit(encode), jax.jit(decode)
        found, made = self._encode(variables, self._input), self._decode(variables, self._latents)
        return {"latents": np.asarray(found), "output": np.asarray(made)}

    def encode(self) -> None:
        """The latents, or the codes, of the input."""
        self._encode(self._variables, self._input).block_until_ready()

    def decode(self) -> None:
        """What the reference's latents become."""
        self._decode(self._variables, self._latents).block_until_ready()


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Both peers' summaries of encoding and decoding one case, once they agree."""
    case = CASES[name]
    draw = np.random.default_rng(0).normal(0, 0.3, case.shape)
    given = {"input": np.clip(draw, -1, 1).astype(np.float32)}
    with Worker(Mmjax, case) as ours, Worker(Reference, case) as theirs:
        given["folder"] = theirs.ask("save")
        expected = theirs.ask("prepare", given)
        found = ours.ask("prepare", given | {"latents": expected["latents"]})
        _agree(case, found, expected)
        workers, tasks = {OURS: ours, case.library: theirs}, {}
        for task in ("encode", "decode"):
            tasks[f"{name}: {task}"] = summarise(*alternate(workers, task, rounds), OURS)
    return tasks


def _agree(case: Case, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    for key, array in expected.items():
        if found[key].shape != array.shape:
            raise AssertionError(f"{case.name}: {key} {found[key].shape}, not {array.shape}")
        if case.codes and key == "latents":
            same = np.mean(found[key] == array)
            if same < 0.99:  # ties of distances may go either way
                raise AssertionError(f"{case.name}: only {same:.1%} of the codes agree")
        elif not np.abs(found[key] - array).max() <= TOLERANCE * array.std():
            error = np.abs(found[key] - array).max() / array.std()
            raise AssertionError(f"{case.name}: {key} is off by {error:.1e} of its spread")
