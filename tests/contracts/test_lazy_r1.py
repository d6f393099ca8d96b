"""The penalty against Adam by hand on a critic whose slope is known; between its steps, nothing."""

import flax.linen as nn
import numpy as np
import optax

from mmjax.training.system import Update
from tests.contracts.toys.lazy_r1 import LazyR1
from tests.harness import ADAM, assert_all_differ, assert_same_bits, make_system, run

UPDATES = {
    "generator": Update(optimiser=ADAM, params="generator/.*"),
    "critic": Update(optimiser=ADAM, order=1, params="critic/.*"),
    "r1": Update(optimiser=ADAM, order=2, params="critic/kernel", every=4),
}
NETWORKS = {"generator": nn.Dense(3), "critic": nn.Dense(1)}


def trained(steps, *names):
    toy = make_system(LazyR1(), NETWORKS, {name: UPDATES[name] for name in names})
    rng = np.random.default_rng(0)
    return run(toy, *({"x": rng.normal(size=(4, 3)).astype(np.float32)} for _ in range(steps)))


def test_the_penalty_alone_is_adam_on_its_known_gradient():
    states, logged = trained(5, "r1")
    kernel = np.asarray(states[0].params["critic"]["kernel"])
    first = second = 0.0
    for index in range(2):  # steps 0 and 4
        slope = 2.0 * 4 * kernel  # of gamma / 2 * every * |kernel|^2
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        change = first / (1 - 0.9 ** (index + 1))
        change = change / (np.sqrt(second / (1 - 0.999 ** (index + 1))) + 1e-8)
        kernel = kernel - 0.1 * change
    np.testing.assert_allclose(states[5].params["critic"]["kernel"], kernel, rtol=1e-5)
    assert logged["loss/penalty"][1] == 4


def test_between_its_steps_the_critic_and_its_moments_keep_every_bit():
    states, _ = trained(5, "generator", "r1")
    for step, (old, new) in enumerate(zip(states[:-1], states[1:], strict=True)):
        assert_all_differ(new.params["generator"]["kernel"], old.params["generator"]["kernel"])
        compare = assert_all_differ if step % 4 == 0 else assert_same_bits
        compare(new.opt["r1"], old.opt["r1"])
        compare(new.params["critic"]["kernel"], old.params["critic"]["kernel"])
    moments = optax.tree.get(states[4].opt["r1"], "mu")["critic/kernel"]
    assert np.abs(moments).min() > 0, "with these, a zero gradient would have moved the critic"


def test_three_updates_share_a_step_and_two_of_them_a_network():
    states, logged = trained(2, "generator", "critic", "r1")
    assert_all_differ(states[2].params["critic"], states[1].params["critic"])
    assert_same_bits(states[2].opt["r1"], states[1].opt["r1"])
    assert logged["loss/penalty"][1] == 0 and logged["loss/real"][1] == 4
