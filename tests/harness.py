"""What tests of training share: a system around any objective, its compiled step, comparisons."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mmjax.training.optimiser import AdamW, Schedule, Sgd
from mmjax.training.state import compiled_init
from mmjax.training.step import make_step
from mmjax.training.system import Data, System, Train, Update

SGD = Sgd(Schedule(0.1))
ADAM = AdamW(Schedule(0.1))


def make_system(
    objective: Any,
    networks: Mapping[str, Any],
    updates: Mapping[str, Update] | None = None,
    *,
    sampler: Any = None,
    **train: Any,
) -> System:
    """A system of these parts; by default one update of everything by gradient descent."""
    return System(
        name="toy",
        objective=objective,
        updates=updates or {"main": Update(optimiser=SGD)},
        networks=networks,
        data=Data(train=None),
        train=Train(steps=10, **train),
        sampler=sampler,
    )


def begin(system, batch):
    """The compiled step and the state at step 0."""
    return jax.jit(make_step(system)), compiled_init(system)(batch)


def run(system, *batches):
    """The states before and after each step, and what the last one logged."""
    step, state = begin(system, batches[0])
    states, logged = [state], {}
    for current in batches:
        state, logged = step(state, current)
        states.append(state)
    return states, logged


def mean(logged, name):
    """The average of a logged sum and count."""
    total, count = logged[name]
    return float(total / count)


def assert_same_bits(found, expected):
    """Two pytrees equal in structure and in every bit."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_all_differ(found, expected):
    """Two pytrees equal in structure and in no array."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert not np.array_equal(one, other)


def assert_near(found, expected, tolerance=1e-5):
    """Two pytrees equal to a relative and absolute tolerance."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def descended(params, gradients, rate=0.1):
    """One step of gradient descent, written out."""
    return jax.tree.map(lambda p, g: p - rate * g, params, gradients)
