"""Who moves when, and the student's gradient through its rollout against one written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.processes.flow import Flow
from mmjax.rng import named
from mmjax.samplers.ode import Euler
from mmjax.training.system import Update
from tests.contracts.network import Tokens, make_spec
from tests.contracts.toys.critic import Distillation
from tests.harness import (
    ADAM,
    SGD,
    assert_all_differ,
    assert_near,
    assert_same_bits,
    make_system,
    run,
)

SPEC = make_spec("x", (3,), Flow(), channels=2)


def toy(optimiser, updates=("student", "critic")):
    every = {"student": 5, "critic": 1}
    networks = {n: Tokens({"x": 2}, causal=False) for n in ("student", "critic", "teacher")}
    chosen = {
        name: Update(optimiser=optimiser, order=order, params=f"{name}/.*", every=every[name])
        for order, name in enumerate(updates)
    }
    return make_system(Distillation(SPEC), networks, chosen, sampler=Euler(steps=2))


BATCH = {"x": np.zeros((4, 3, 2), np.float32)}


@pytest.fixture(scope="module")
def states():
    return run(toy(ADAM), *[BATCH] * 6)[0]


def test_the_student_moves_every_fifth_step_and_the_critic_on_each(states):
    for step, (old, new) in enumerate(zip(states[:-1], states[1:], strict=True)):
        compare = assert_all_differ if step % 5 == 0 else assert_same_bits
        compare(new.params["student"], old.params["student"])
        compare(new.opt["student"], old.opt["student"])
        assert_all_differ(new.params["critic"], old.params["critic"])
    assert_same_bits(states[-1].params["teacher"], states[0].params["teacher"])


def test_the_students_gradient_goes_through_the_rollout():
    system = toy(SGD, ("student",))
    (before, after), _ = run(system, BATCH)
    key = named(jax.random.key(0), "step", 0, "update", "student")
    noise = jax.random.normal(named(key, "rollout", "start", "x"), (4, 3, 2))
    time = jax.random.uniform(named(key, "time"), (4,))[:, None, None]
    other = jax.random.normal(named(key, "noise"), (4, 3, 2))

    def velocity(params, x, time):
        stream = SPEC.make(x, time=jnp.broadcast_to(time, (4,)))
        return system.networks["student"].apply({"params": params}, {"x": stream})["x"].values

    def loss(student):
        half = noise - 0.5 * velocity(student, noise, 1.0)
        made = half - 0.5 * velocity(student, half, 0.5)
        noisy = (1 - time) * made + time * other
        pull = velocity(before.params["teacher"], noisy, time[:, 0, 0])
        push = velocity(before.params["critic"], noisy, time[:, 0, 0])
        better = jax.lax.stop_gradient(made - (noisy - time * push) + (noisy - time * pull))
        return 0.5 * jnp.mean(jnp.square(made - better))

    gradient = jax.grad(loss)(before.params["student"])
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, before.params["student"], gradient)
    assert_near(after.params["student"], expected)
    assert np.abs(gradient["x_in"]["kernel"]).max() > 1e-4
