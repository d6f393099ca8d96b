"""Samplers over time, run with the exact predictor of data whose distribution is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.processes.flow import Flow
from mmjax.processes.gaussian import Gaussian
from mmjax.processes.next_token import NextToken
from mmjax.samplers.ancestral import DDIM, DDPM, posterior
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.base import scan, steps
from mmjax.samplers.ode import Euler, Heun

KEY = jax.random.key(3)


def run(sampler, model, specs, batch=2, given=None):
    want = tuple(specs)
    streams = begin(specs, given or {}, want, batch, KEY)
    return jax.jit(lambda: scan(sampler, model, specs, streams, want, KEY))()


def distribution(sampler, model, specs):
    values = np.asarray(run(sampler, model, specs, batch=2000)["x"].values)
    return values.mean(), values.std()


@pytest.mark.parametrize(
    "process,sampler",
    [
        (Flow("velocity"), Euler(200)),
        (Flow("clean"), Heun(40)),
        (Flow("clean"), DDIM(400, eta=1.0)),
        (Flow("velocity"), Euler(200, shift=3.0)),
        (Gaussian("noise"), Euler(400)),
        (Gaussian("clean"), Heun(100)),
        (Gaussian("velocity", "cosine"), DDIM(100)),
        (Gaussian("noise", "scaled_linear"), DDIM(400, eta=1.0)),
    ],
)
def test_the_known_distribution_comes_back(make_specs, make_oracle, process, sampler):
    specs = make_specs(process)
    mean, std = distribution(sampler, make_oracle(specs), specs)
    assert abs(mean - 1.5) < 0.02 and abs(std - 0.4) < 0.02


def test_noise_prediction_on_a_straight_path_loses_little(make_specs, make_oracle):
    """Near time 1 predicted noise says little of the clean values, and min_time bounds the harm."""
    specs = make_specs(Flow("noise"))
    mean, std = distribution(Heun(100), make_oracle(specs), specs)
    assert abs(mean - 1.5) < 0.06 and abs(std - 0.4) < 0.02


@pytest.mark.parametrize("process", [Flow("velocity"), Gaussian("noise")])
@pytest.mark.parametrize("variance,bias", [("small", -1), ("large", 1)])
def test_ddpm_brackets_the_known_distribution(make_specs, make_oracle, process, variance, bias):
    """For spread data the small variance is too small and the large one too large, at few steps."""
    specs = make_specs(process)
    errors = []
    for count in (20, 200):
        sampler = DDPM(count, variance=variance)
        mean, std = distribution(sampler, make_oracle(specs, std=0.6), specs)
        assert abs(mean - 1.5) < 0.05
        errors.append(bias * (std - 0.6))
    assert errors[0] > 0.01 and abs(errors[1]) < errors[0] / 3


def test_shift_moves_the_times_towards_noise():
    np.testing.assert_allclose(Euler(2, shift=3.0).times(), [1.0, 0.75, 0.0])


@pytest.mark.parametrize("kind", ["clean", "velocity"])
@pytest.mark.parametrize("sampler,order", [(Euler, 1), (Heun, 2), (DDIM, 1)])
def test_order_of_convergence(make_specs, make_oracle, kind, sampler, order):
    """The exact solution of the flow of normal data is mean + std noise."""
    specs = make_specs(Flow(kind))
    model = make_oracle(specs)
    streams = begin(specs, {}, ("x",), 2, KEY)
    noise = sampler(1).start(model, specs, streams, ("x",), KEY)["streams"]["x"].values
    errors = []
    for count in (20, 40):
        found = run(sampler(count), model, specs)["x"].values
        errors.append(np.abs(found - (1.5 + 0.4 * noise)).mean())
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.2


@pytest.mark.parametrize("count", [1, 50])
def test_the_last_step_of_a_clean_prediction_lands_on_it(make_specs, make_oracle, count):
    """50 steps end far below the loss's ``min_time``; the noise must be gone all the same."""
    specs = make_specs(Flow("clean"))
    found = run(Euler(count), make_oracle(specs, std=0.0), specs)["x"].values
    np.testing.assert_allclose(found, 1.5, atol=1e-5)


def test_ddim_is_euler_on_a_straight_path(make_specs, make_oracle):
    specs = make_specs(Flow())
    found = [run(kind(7), make_oracle(specs), specs)["x"].values for kind in (Euler, DDIM)]
    np.testing.assert_allclose(*found, atol=1e-5)


def test_posterior_is_bayes_rule():
    """From q(x_s | x) and q(x_t | x_s) by multiplying two normal densities, at two times."""
    for process in (Flow(), Gaussian()):
        time, target = jnp.asarray(0.7), jnp.asarray(0.4)
        a_t, s_t = (float(v) for v in process.schedule(time))
        a_s, s_s = (float(v) for v in process.schedule(target))
        ratio, forward = a_t / a_s, s_t**2 - (a_t / a_s * s_s) ** 2
        precision = ratio**2 / forward + 1 / s_s**2
        found = posterior(process, time, target)
        np.testing.assert_allclose(found.small, 1 / precision, rtol=1e-4)
        np.testing.assert_allclose(found.large, forward, rtol=1e-4)
        np.testing.assert_allclose(found.of_noisy, ratio / forward / precision, rtol=1e-4)
        np.testing.assert_allclose(found.of_clean, a_s / s_s**2 / precision, rtol=1e-4)


@pytest.mark.parametrize("sampler", [Euler, Heun, DDIM, DDPM])
def test_clip_bounds_the_clean_estimate(make_specs, make_oracle, sampler):
    process = Gaussian() if sampler in (DDIM, DDPM) else Flow()
    specs = make_specs(process)
    clipped = run(sampler(20, clip={"x": 1.0}), make_oracle(specs), specs)["x"].values
    assert np.abs(clipped).max() <= 1.0 + 1e-5
    assert np.abs(run(sampler(20), make_oracle(specs), specs)["x"].values).max() > 1.5


@pytest.mark.parametrize("sampler", [Euler(3), Heun(3), DDIM(3, eta=1.0), DDPM(3)])
def test_known_frames_are_held_and_shown_as_clean(make_specs, make_oracle, sampler):
    specs = make_specs(Flow(), grid=(4, 2), names=("video", "sound"))
    model = make_oracle(specs)
    given = specs["video"].make(jnp.full((2, 4, 2, 1), 7.0))
    given = given.replace(mask=given.mask.at[:, 1:].set(False))
    streams = begin(specs, {"video": given}, ("video", "sound"), 2, KEY)
    carry = sampler.start(model, specs, streams, ("video", "sound"), KEY)
    for index in range(3):
        carry = sampler.advance(model, specs, ("video", "sound"), carry, index)
        seen = model.seen[-1 if sampler.__class__ is not Heun else 2 * index]
        time = 1.0 - index / 3
        np.testing.assert_allclose(seen["video"].time[:, :, 0], [[0.0, time, time, time]] * 2)
        np.testing.assert_allclose(seen["sound"].time, [time] * 2)
        assert seen["video"].mask.all()
        assert (seen["video"].values[:, 0] == 7.0).all()
    video = sampler.finish(specs, ("video",), carry)["video"]
    assert (video.values[:, 0] == 7.0).all() and not (video.values[:, 1:] == 7.0).any()
    assert (video.time == 0.0).all()


def test_given_streams_are_untouched(make_specs, make_oracle):
    specs = make_specs(Flow(), names=("x", "condition"))
    model = make_oracle(specs)
    given = {"condition": specs["condition"].make(jnp.full((2, 8, 1), 3.0))}
    streams = begin(specs, given, ("x",), 2, KEY)
    carry = Euler(2).start(model, specs, streams, ("x",), KEY)
    carry = Euler(2).advance(model, specs, ("x",), carry, 0)
    assert (carry["streams"]["condition"].values == 3.0).all()
    assert (model.seen[0]["condition"].time == 0.0).all()
    assert set(Euler(2).finish(specs, ("x",), carry)) == {"x"}


@pytest.mark.parametrize("sampler", [Euler(4), DDPM(4)])
def test_host_and_compiled_drivers_agree(make_specs, make_oracle, sampler):
    specs = make_specs(Flow())
    model = make_oracle(specs)
    streams = begin(specs, {}, ("x",), 2, KEY)
    *_, last = seen = list(steps(sampler, model, specs, streams, ("x",), KEY))
    assert len(seen) == 4
    np.testing.assert_allclose([float(s["x"].time[0]) for s in seen], [0.75, 0.5, 0.25, 0.0])
    np.testing.assert_allclose(last["x"].values, run(sampler, model, specs)["x"].values, atol=1e-5)


def test_streams_have_noise_of_their_own(make_specs, make_oracle):
    specs = make_specs(Flow(), names=("x", "y"))
    for sampler in (Euler(3), DDPM(3)):
        found = run(sampler, make_oracle(specs), specs)
        assert np.abs(found["x"].values - found["y"].values).min() > 0


def test_codes_cannot_be_denoised(make_specs, make_oracle):
    specs = make_specs(Flow())
    specs["x"] = dataclasses.replace(specs["x"], process=NextToken(), channels=None, vocabulary=5)
    with pytest.raises(UserError, match="Euler restores streams over time; 'x' is NextToken"):
        run(Euler(2), make_oracle(specs), specs)


def test_steps_are_counted_from_one():
    for sampler in (Euler, DDPM):
        with pytest.raises(ValueError, match="steps"):
            sampler(0)
    with pytest.raises(ValueError, match="variance"):
        DDPM(variance="learned")
