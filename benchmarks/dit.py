"""One training step and one sampling loop of a DiT, beside diffusers, on the CPU.

The peers hold the same weights (diffusers' random ones, imported here) and get the same inputs in
float32; their outputs are compared first. Run it on an idle machine:

    python -m benchmarks.dit --rounds 9 --out benchmarks/dit.json
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.common import THREADS, Worker, alternate, environment, summarise, table

WIDTH, DEPTH, HEADS, SIDE, PATCH, CLASSES = 192, 6, 6, 32, 2, 10
BATCH, CHANNELS, STEPS, RATE, DECAY = 16, 4, 10, 1e-4, 1e-2
CLOCK = 1000.0  # steps of the published clock
TOLERANCE = 1e-4  # of the output's spread
OURS = "mmjax"


class Mmjax:
    """The trunk and its sampler, compiled as a run of the command line compiles them."""

    def __init__(self, unroll: int):
        from mmjax.training.memory import keep_freed_memory

        keep_freed_memory()
        self._unroll = unroll

    def prepare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Imports the reference's weights."""
        import functools

        import jax
        import jax.numpy as jnp
        import optax

        from mmjax.interop.dit import import_dit

        network, specs = _network(self._unroll)
        self._jax = jax
        self._params = jax.tree.map(jnp.asarray, import_dit(network, given["state"]))
        optimiser = optax.adamw(RATE, weight_decay=DECAY)
        self._moments = optimiser.init(self._params)

        def streams(image, step, label):
            return {
                "image": specs["image"].make(image, time=(step + 1) / CLOCK),
                "label": specs["label"].make(label),
            }

        def predict(params, *inputs):
            return network.apply({"params": params}, streams(*inputs))["image"].values

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def train(params, moments, inputs, target):
            def loss(params):
                return jnp.mean(jnp.square(predict(params, *inputs) - target))

            value, gradient = jax.value_and_grad(loss)(params)
            updates, moments = optimiser.update(gradient, moments, params)
            return optax.apply_updates(params, updates), moments, value

        self._train, self._sample = train, jax.jit(_sampling(network, specs, streams))
        self._inputs = tuple(jnp.asarray(given[name]) for name in ("image", "step", "label"))
        self._target, self._noise = jnp.asarray(given["target"]), jnp.asarray(given["noise"])
        output = jax.jit(predict)(self._params, *self._inputs)
        sampled = self._sample(self._params, self._noise, self._inputs[2])
        return {"output": np.asarray(output), "sampled": np.asarray(sampled)}

    def train(self) -> None:
        """One step of AdamW."""
        self._params, self._moments, loss = self._train(
            self._params, self._moments, self._inputs, self._target
        )
        self.loss = float(loss)

    def sample(self) -> None:
        """The whole loop."""
        self._sample(self._params, self._noise, self._inputs[2]).block_until_ready()

    def last_loss(self) -> float:
        """Of the latest step."""
        return self.loss


def _network(unroll: int):
    from mmjax.layers.embedding import Clock
    from mmjax.layers.positions import SinCos
    from mmjax.modalities.label import Label
    from mmjax.models.transformer import Transformer
    from mmjax.processes.clean import Clean
    from mmjax.processes.gaussian import Gaussian
    from mmjax.streams import StreamSpec

    centres = np.arange(SIDE) + 0.5
    places = np.stack(np.meshgrid(centres, centres, indexing="ij"), -1).astype(np.float32)
    label = Label(CLASSES)
    specs = {
        "image": StreamSpec(
            "image", "image", (SIDE, SIDE), CHANNELS, None, ("height", "width"), places,
            process=Gaussian(),
        ),
        "label": StreamSpec(
            "label", "label", (), None, CLASSES, label.axes, label.positions(()), process=Clean(),
        ),
    }  # fmt: skip
    network = Transformer(
        specs, WIDTH, DEPTH, HEADS, patch={"image": (PATCH, PATCH)}, pooled=("label",),
        clock=Clock(scale=CLOCK, offset=-1.0, shift=1.0), scan_unroll=unroll,
        absolute=SinCos(("width", "height"), (float(PATCH), float(PATCH)), origin=0.5),
    )  # fmt: skip
    return network, specs


def _sampling(network, specs, streams):
    """DDIM from given noise, through the sampler's own functions."""
    import jax
    import jax.numpy as jnp

    from mmjax.samplers.ancestral import DDIM

    sampler, want = DDIM(steps=STEPS), ("image",)

    def sample(params, noise, label):
        def model(streams):
            out = network.apply({"params": params}, streams)
            return {"image": out["image"].values}

        begun = streams(noise, jnp.full((BATCH,), CLOCK - 1), label)
        carry = sampler.start(model, specs, begun, want, jax.random.key(0))
        carry["streams"]["image"] = begun["image"]  # the noise that the peer starts from

        def body(index, carry):
            return sampler.advance(model, specs, want, carry, index)

        carry = jax.lax.fori_loop(0, STEPS, body, carry)
        return sampler.finish(specs, want, carry)["image"].values

    return sample


class Diffusers:
    """The reference class with PyTorch's optimiser and diffusers' scheduler."""

    def __init__(self, compiled: bool, keep_memory: bool):
        if keep_memory:
            from mmjax.training.memory import keep_freed_memory

            keep_freed_memory()
        self._compiled = compiled

    def make(self) -> dict[str, Any]:
        """Random weights, those that start at zero included, and inputs."""
        self._build(None)
        rng = np.random.default_rng(0)
        shape = (BATCH, SIDE, SIDE, CHANNELS)
        arrays = {
            n: rng.normal(size=shape).astype(np.float32) for n in ("image", "target", "noise")
        }
        return arrays | {
            "state": {name: value.numpy() for name, value in self._model.state_dict().items()},
            "step": rng.integers(0, int(CLOCK), BATCH).astype(np.float32),
            "label": rng.integers(0, CLASSES, BATCH).astype(np.int32),
        }

    def _build(self, state: Mapping[str, np.ndarray] | None) -> None:
        import diffusers
        import torch

        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        self._torch = torch
        self._model = diffusers.DiTTransformer2DModel(
            num_attention_heads=HEADS, attention_head_dim=WIDTH // HEADS, in_channels=CHANNELS,
            out_channels=CHANNELS, num_layers=DEPTH, sample_size=SIDE, patch_size=PATCH,
            num_embeds_ada_norm=CLASSES, norm_eps=1e-6,
        )  # fmt: skip
        for block in self._model.transformer_blocks:  # as in published weights
            block.norm1.emb = self._model.transformer_blocks[0].norm1.emb
        for block in self._model.transformer_blocks:  # no dropping of labels while timing
            block.norm1.emb.class_embedder.dropout_prob = 0.0
        if state is not None:
            tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
            self._model.load_state_dict(tensors)
        self._scheduler = diffusers.DDIMScheduler(
            num_train_timesteps=int(CLOCK), beta_schedule="linear", clip_sample=False,
            timestep_spacing="trailing",
        )  # fmt: skip

    def prepare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Takes the weights and inputs."""
        self._build(given["state"])
        torch, model = self._torch, self._model
        self._call = torch.compile(model) if self._compiled else model
        self._optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
        first = {n: given[n].transpose(0, 3, 1, 2).copy() for n in ("image", "target", "noise")}
        self._given = {name: torch.from_numpy(value) for name, value in first.items()}
        self._given |= {n: torch.from_numpy(given[n]).long() for n in ("step", "label")}
        with torch.no_grad():
            output = self._predict(self._given["image"], self._given["step"])
        return {"output": _last(output), "sampled": _last(self.sample())}

    def _predict(self, image, step):
        return self._call(image, timestep=step, class_labels=self._given["label"]).sample

    def train(self) -> None:
        """One step of AdamW."""
        self._optimiser.zero_grad()
        output = self._predict(self._given["image"], self._given["step"])
        loss = (output - self._given["target"]).square().mean()
        loss.backward()
        self._optimiser.step()
        self.loss = loss.item()

    def sample(self):
        """The whole loop."""
        with self._torch.no_grad():
            self._scheduler.set_timesteps(STEPS)
            image = self._given["noise"]
            for step in self._scheduler.timesteps:
                output = self._predict(image, step.expand(BATCH))
                image = self._scheduler.step(output, step, image).prev_sample
        return image

    def last_loss(self) -> float:
        """Of the latest step."""
        return self.loss


def _last(tensor) -> np.ndarray:
    return tensor.permute(0, 2, 3, 1).numpy()


PEERS = {
    OURS: (Mmjax, 0),
    "mmjax, scanned": (Mmjax, 1),
    "diffusers": (Diffusers, False, False),
    "diffusers, freed memory kept": (Diffusers, False, True),
    "diffusers, compiled": (Diffusers, True, False),
}


def _agree(name: str, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    for key, array in expected.items():
        error = np.abs(found[key] - array).max() / array.std()
        if not error <= TOLERANCE:
            raise AssertionError(f"{name}: {key} is off by {error:.1e} of its spread")


def measure(names: list[str], rounds: int) -> dict[str, Any]:
    """Prepares the peers, compares them, and times them in turns."""
    before = environment(("jax", "jaxlib", "flax", "torch", "diffusers"))
    workers = {name: Worker(*PEERS[name]) for name in names}
    with Worker(Diffusers, False, False) as maker:
        given = maker.ask("make")
        expected = maker.ask("prepare", given)
    for name, worker in workers.items():
        _agree(name, worker.ask("prepare", given), expected)
    summaries, losses = {}, {}
    for task in ("train", "sample"):
        summaries[task] = summarise(*alternate(workers, task, rounds), OURS)
        if task == "train":
            losses = {name: worker.ask("last_loss") for name, worker in workers.items()}
            assert max(losses.values()) - min(losses.values()) <= 1e-3 * losses[OURS], losses
    peaks = {name: worker.peak_megabytes() for name, worker in workers.items()}
    for worker in workers.values():
        worker.__exit__()
    load = {"before": before.pop("load"), "after": os.getloadavg()[0]}
    return {
        "rounds": rounds, "environment": before, "load": load, "peak_megabytes": peaks,
        "losses": losses, "tasks": summaries,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    if OURS not in options.peers:
        parser.error(f"--peers needs {OURS!r}")
    os.environ |= {
        "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    if hasattr(os, "sched_setaffinity"):  # XLA takes all cores that it may use
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    result = measure(options.peers, options.rounds)
    print(table(result["tasks"]))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
