"""The shortest time of a step: its products by hand, over the peak of the devices here."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from mmjax.layers.stack import Stack
from mmjax.planning import utilisation
from mmjax.planning.utilisation import PEAKS, shortest_step
from tests.training.pairs import BATCH, system

PEAK = 1e9


@pytest.fixture(autouse=True)
def peak(monkeypatch):
    monkeypatch.setitem(PEAKS, jax.devices()[0].device_kind, PEAK)


def test_products_are_counted_forward_and_backward():
    """A map of 4 numbers to 2: once forward, once for its kernel's gradient, none for the input."""
    products = 2 * BATCH * 4 * 2 * 2
    assert shortest_step(system()) == pytest.approx(products / PEAK / jax.device_count())


class Square(nn.Module):
    """A product with a square matrix."""

    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(x.shape[-1], name="dense")(x))


class Deep(nn.Module):
    """Several of them and a map to two numbers, with what is recomputed as a choice."""

    remat: str = "none"

    @nn.compact
    def __call__(self, x):
        self.variable("counts", "calls", jnp.zeros, ())
        x = Stack(Square, 3, remat=self.remat, name="blocks")(x)
        return nn.Dense(2, name="dense")(x)


def test_what_is_computed_again_does_not_count():
    made = system()
    times = [
        shortest_step(dataclasses.replace(made, networks={"model": Deep(remat)}))
        for remat in ("none", "full")
    ]
    assert times[0] == times[1] > shortest_step(made)


def test_without_a_known_peak_there_is_none(monkeypatch):
    monkeypatch.delitem(PEAKS, jax.devices()[0].device_kind)
    monkeypatch.setattr(utilisation.flops, "count", lambda *_: pytest.fail("counted in vain"))
    assert shortest_step(system()) is None


def test_what_cannot_be_counted_does_not_keep_a_run_from_training(monkeypatch, capsys):
    def count(*_):
        raise ValueError("kernel 'x' has no formula")

    monkeypatch.setattr(utilisation.flops, "count", count)
    assert shortest_step(system()) is None
    assert "no model FLOPs utilisation: kernel 'x'" in capsys.readouterr().out
