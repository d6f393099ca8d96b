"""Streams of normally distributed data, and the network that knows them perfectly."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.streams import StreamSpec, expand_time


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Predicts E[clean | noisy] of normal data, in the quantity that each process wants.

    ``seen`` collects the streams of every call that is not compiled.
    """

    specs: dict
    mean: float = 1.5
    std: float = 0.4
    seen: list = dataclasses.field(default_factory=list)

    def __call__(self, streams):
        self.seen.append(streams)
        return {name: self._predict(name, stream) for name, stream in streams.items()}

    def _predict(self, name, stream):
        process = self.specs[name].process
        alpha, sigma = process.schedule(expand_time(stream.time, stream.values))
        power = (alpha * self.std) ** 2 + sigma**2
        gain = jnp.where(power > 0, alpha * self.std**2 / jnp.maximum(power, 1e-12), 0.0)
        clean = self.mean + gain * (stream.values - alpha * self.mean)
        noise = (stream.values - alpha * clean) / jnp.maximum(sigma, 1e-6)
        kinds = {"clean": clean, "noise": noise, "velocity": noise - clean}
        if type(process).__name__ == "Gaussian":
            kinds["velocity"] = alpha * noise - sigma * clean
        return kinds[process.prediction]


@pytest.fixture
def make_specs():
    """``make_specs(process, grid=(8,), names=("x",))``: streams of one channel on one grid."""

    def make_specs(process, grid=(8,), names=("x",)):
        return {
            name: StreamSpec(
                name, name, grid, 1, None, ("time",), np.zeros((*grid, 1)), process=process
            )
            for name in names
        }

    return make_specs


@pytest.fixture
def make_oracle():
    return Oracle
