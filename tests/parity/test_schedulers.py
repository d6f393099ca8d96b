"""Samplers against diffusers' schedulers, both fed with the same predictions and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.processes.flow import Flow
from mmjax.processes.gaussian import Gaussian
from mmjax.rng import named
from mmjax.samplers.ancestral import DDIM, DDPM
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.ode import Euler, Heun
from mmjax.streams import StreamSpec

pytestmark = pytest.mark.parity
KEY = jax.random.key(0)
WANT = ("x",)
KINDS = {"noise": "epsilon", "clean": "sample", "velocity": "v_prediction"}


def predict(values, time):
    """Some smooth function; what it predicts does not matter."""
    return 0.8 * np.tanh(1.3 * values + np.sin(4.0 * time))


class Network:
    """:func:`predict` as a model."""

    def __call__(self, streams):
        x = streams["x"]
        time = x.time[:, None, None]
        return {"x": 0.8 * jnp.tanh(1.3 * x.values + jnp.sin(4.0 * time))}


def ours(sampler, process):
    """The first values, and those after every step."""
    spec = StreamSpec("x", "x", (16,), 3, None, ("index",), np.zeros((16, 1)), process=process)
    specs = {"x": spec}
    carry = sampler.start(Network(), specs, begin(specs, {}, WANT, 2, KEY), WANT, KEY)
    first, advance = (
        carry["streams"]["x"].values,
        jax.jit(lambda carry, index: sampler.advance(Network(), specs, WANT, carry, index)),
    )
    trajectory = []
    for index in range(sampler.steps):
        carry = advance(carry, index)
        trajectory.append(np.asarray(carry["streams"]["x"].values))
    return np.asarray(first), np.stack(trajectory)


def step_noise(index):
    """What a stochastic sampler draws at one of its steps."""
    return np.array(jax.random.normal(named(KEY, "step", index, "x"), (2, 16, 3)))


def theirs(torch, first, timesteps, time_of, step):
    """The values after every step of a reference; ``step(prediction, timestep, values, index)``."""
    values, trajectory = torch.from_numpy(first.copy()), []
    for index, timestep in enumerate(timesteps):
        prediction = predict(values.numpy(), time_of(timestep)).astype(np.float32)
        values = step(torch.from_numpy(prediction), timestep, values, index)
        trajectory.append(values.numpy())
    return np.stack(trajectory)


@pytest.mark.parametrize(
    "kind,schedule,clip,eta",
    [
        ("noise", "linear", False, 0.0),
        ("clean", "linear", False, 0.7),
        ("velocity", "linear", True, 0.7),
        ("noise", "scaled_linear", True, 0.7),
        ("velocity", "cosine", True, 0.0),
    ],
)
def test_ddim(torch, diffusers, assert_near, kind, schedule, clip, eta):
    published = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012), "cosine": (0.0, 0.0)}
    start, end = published[schedule]
    scheduler = diffusers.DDIMScheduler(
        beta_start=start, beta_end=end, prediction_type=KINDS[kind], clip_sample=clip,
        beta_schedule="squaredcos_cap_v2" if schedule == "cosine" else schedule,
        timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(20)
    sampler = DDIM(20, eta=eta, clip={"x": 1.0} if clip else {})
    first, found = ours(sampler, Gaussian(kind, schedule))

    def step(prediction, timestep, values, index):
        return scheduler.step(
            prediction, timestep, values, eta=eta, use_clipped_model_output=True,
            variance_noise=torch.from_numpy(step_noise(index)) if eta else None,
        ).prev_sample  # fmt: skip

    timesteps = scheduler.timesteps
    expected = theirs(torch, first, timesteps, lambda t: (float(t) + 1) / 1000, step)
    for at_step, wanted in zip(found, expected, strict=True):
        assert_near(at_step, wanted)


@pytest.mark.parametrize(
    "kind,variance,steps,clip",
    [
        ("noise", "small", 25, True),
        ("clean", "small", 25, False),
        ("velocity", "small", 25, True),
        ("noise", "large", 1000, True),
    ],
)
def test_ddpm(torch, diffusers, assert_near, monkeypatch, kind, variance, steps, clip):
    """The large variance at full length, as the reference else adds noise to its last step."""
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="linear", prediction_type=KINDS[kind], clip_sample=clip,
        variance_type=f"fixed_{variance}", timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    first, found = ours(
        DDPM(steps, variance=variance, clip={"x": 1.0} if clip else {}), Gaussian(kind)
    )
    noise = iter(step_noise(index) for index in range(steps))
    module = diffusers.schedulers.scheduling_ddpm
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: torch.from_numpy(next(noise)))

    def step(prediction, timestep, values, index):
        return scheduler.step(prediction, timestep, values).prev_sample

    timesteps = scheduler.timesteps
    expected = theirs(torch, first, timesteps, lambda t: (float(t) + 1) / 1000, step)
    for at_step, wanted in zip(found, expected, strict=True):
        assert_near(at_step, wanted, 1e-3 if steps == 1000 else 1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_on_a_straight_path(torch, diffusers, assert_near, shift):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / 12, 12))
    first, found = ours(Euler(12, shift=shift), Flow("velocity"))

    def step(prediction, timestep, values, index):
        return scheduler.step(prediction, timestep, values).prev_sample

    timesteps = scheduler.timesteps
    expected = theirs(torch, first, timesteps, lambda t: float(t) / 1000, step)
    for at_step, wanted in zip(found, expected, strict=True):
        assert_near(at_step, wanted)


def test_heun_on_a_straight_path(torch, diffusers, assert_near):
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler(num_train_timesteps=12)
    scheduler.set_timesteps(12)
    first, found = ours(Heun(12), Flow("velocity"))

    def step(prediction, timestep, values, index):
        return scheduler.step(prediction, timestep, values).prev_sample

    timesteps = scheduler.timesteps
    expected = theirs(torch, first, timesteps, lambda t: float(t) / 12, step)
    # The reference moves at each evaluation; a step has two of them, the last step one.
    for at_step, wanted in zip(found, [*expected[1::2], expected[-1]], strict=True):
        assert_near(at_step, wanted)
