"""The joint objective: its terms by hand, what counts in them, and any-to-any sampling."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.layers import masks
from mmjax.layers.positions import Rotary
from mmjax.models.transformer import Transformer
from mmjax.objectives import joint
from mmjax.objectives.base import Context, Request
from mmjax.objectives.joint import Joint
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.processes.times import TimeSampler
from mmjax.rng import named
from mmjax.samplers.guidance import Branch
from mmjax.samplers.ode import Euler
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)
BATCH, CODES = 4, 9


def make_spec(name, grid, process, vocabulary=None, **fields):
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).astype(np.float32)
    axes = ("index",) if vocabulary else ("time", "height")[: len(grid)]
    return StreamSpec(
        name, name, grid, None if vocabulary else 2, vocabulary, axes, places,
        process=process, **fields,
    )  # fmt: skip


SPECS = {
    "text": make_spec("text", (3,), Clean(), CODES, drop_rate=0.5),
    "story": make_spec("story", (4,), NextToken(begin=1), CODES, weight=0.5),
    "video": make_spec("video", (4, 2), Flow(), dropped="noise", weight=2.0),
    "audio": make_spec("audio", (6,), Flow("clean"), dropped="noise"),
}


def with_spec(name, **changes):
    return {**SPECS, name: dataclasses.replace(SPECS[name], **changes)}


class Half(nn.Module):
    """Predicts half of what it reads; for codes logits that favour the code that it reads."""

    @nn.compact
    def __call__(self, streams, *, train=False, decode=False):
        half = self.param("half", nn.initializers.constant(0.5), ())
        return {
            name: stream.replace(
                values=half * jax.nn.one_hot(stream.values, CODES)
                if name in ("text", "story")
                else half * stream.values
            )
            for name, stream in streams.items()
        }


def draw(seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    return {
        "text": jax.random.randint(keys[0], (BATCH, 3), 0, CODES),
        "story": jax.random.randint(keys[1], (BATCH, 4), 0, CODES),
        "video": jax.random.normal(keys[2], (BATCH, 4, 2, 2)),
        "audio": jax.random.normal(keys[3], (BATCH, 6, 2)),
    }


def make_context(objective, network, sampler=None, spread=0.0):
    inputs = objective.inputs(draw(), KEY)["denoiser"]
    params = jax.jit(network.init)(KEY, *inputs)["params"]
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    leaves = [x + spread * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    params = {"denoiser": jax.tree.unflatten(structure, leaves)}
    return Context({"denoiser": network}, params, params, {}, sampler=sampler)


def terms(objective, ctx, *batches):
    """The terms on each batch with the same key; those of one batch alone."""

    @jax.jit
    def compute(batch):
        return objective.terms(ctx, objective.prepare(ctx, batch, KEY), KEY, "all")[0]

    found = [compute(batch) for batch in batches]
    return found if len(found) > 1 else found[0]


def test_terms_are_the_processes_losses_of_what_the_network_made_of_the_noisy_streams():
    objective, batch = Joint(SPECS), draw()
    found = terms(objective, make_context(objective, Half()), batch)
    assert set(found) == {"story", "video", "audio"}
    times, _ = TimeSampler().draw(named(KEY, "times"), SPECS, BATCH)
    for name, wanted in (("video", lambda x, e: e - x), ("audio", lambda x, e: x)):
        x = np.asarray(batch[name])
        e = np.asarray(jax.random.normal(named(KEY, "corrupt", name), x.shape))
        t = np.asarray(times[name]).reshape((-1,) + (1,) * (x.ndim - 1))
        noisy = (1 - t) * x + t * e
        error = np.mean((0.5 * noisy - wanted(x, e)) ** 2, axis=-1)
        if name == "audio":  # measured as velocity
            error = error / np.maximum(t[..., 0], 0.05) ** 2
        np.testing.assert_allclose(found[name].values, error, rtol=1e-4)
        np.testing.assert_allclose(np.ravel(found[name].time), np.ravel(t))
    read = np.concatenate([np.ones((BATCH, 1), int), np.asarray(batch["story"])[:, :-1]], axis=1)
    logits = 0.5 * np.eye(CODES)[read]
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(likelihood, np.asarray(batch["story"])[..., None], -1)[..., 0]
    np.testing.assert_allclose(found["story"].values, -chosen, rtol=1e-5)
    assert (found["story"].weight, found["video"].weight) == (0.5, 2.0)


def test_padding_does_not_count():
    objective = Joint(SPECS)
    mask = jnp.arange(6) < 4
    batch = draw() | {"audio_mask": jnp.broadcast_to(mask, (BATCH, 6))}
    found = terms(objective, make_context(objective, Half()), batch)
    assert (found["audio"].mask == mask).all() and found["video"].mask.all()


@pytest.mark.parametrize(
    "times,counted",
    [
        (TimeSampler(), {"video": 1.0, "audio": 1.0}),
        (TimeSampler(shared=0.0, clean={"video": 1.0}), {"video": 0.0, "audio": 1.0}),
        (TimeSampler(shared=0.0, prefix={"video": 1.0}), {"video": 0.75, "audio": 1.0}),
    ],
)
def test_what_is_clean_is_not_predicted(times, counted):
    objective = Joint(SPECS, times)
    found = terms(objective, make_context(objective, Half()), draw())
    assert {name: float(found[name].mask.mean()) for name in counted} == counted
    assert found["story"].mask.all()


@pytest.mark.parametrize("dropped", ["noise", "mask"])
def test_what_is_dropped_is_not_predicted(dropped):
    objective = Joint(with_spec("audio", drop_rate=0.5, dropped=dropped))
    found = terms(objective, make_context(objective, Half()), draw())
    _, keep = TimeSampler().draw(named(KEY, "times"), objective.streams, BATCH)
    assert 0 < keep["audio"].sum() < BATCH
    np.testing.assert_array_equal(found["audio"].mask.all(-1), keep["audio"])
    np.testing.assert_array_equal(found["audio"].mask.any(-1), keep["audio"])


def trunk(specs):
    causal = {name: "causal" for name, spec in specs.items() if name == "story"}
    rope = Rotary(("time", "height"), (4, 4), (1.0, 1.0))
    return Transformer(specs, 16, 1, 2, rope=rope, attention=causal)


def influence_of_text(drop_rate):
    """How much another text changes the terms, all else equal."""
    specs = with_spec("text", drop_rate=drop_rate)
    objective = Joint(specs)
    ctx = make_context(objective, trunk(specs), spread=0.3)
    batch = draw()
    other = batch | {"text": (batch["text"] + 1) % CODES}
    found, changed = terms(objective, ctx, batch, other)
    return max(np.abs(found[name].values - changed[name].values).max() for name in found)


def test_a_dropped_condition_has_no_influence(monkeypatch):
    assert influence_of_text(0.0) > 1e-3
    assert influence_of_text(1.0) == 0.0
    with monkeypatch.context() as patch:  # a network that ignores masks
        patch.setattr(masks, "padding", lambda keys: jnp.ones_like(keys)[:, None, None, :])
        assert influence_of_text(1.0) > 1e-3
    with monkeypatch.context() as patch:  # an objective that forgets to drop
        patch.setattr(joint, "drop_stream", lambda stream, *_: stream)
        assert influence_of_text(1.0) > 1e-3


def request(objective, given, want):
    batch = draw()
    known = {name: objective.streams[name].encode(batch) for name in given}
    return Request(known, want, BATCH)


@pytest.fixture(scope="module")
def trained():
    specs = {name: spec for name, spec in SPECS.items() if name != "story"}
    objective = Joint(specs)
    sampler = Euler(2, guidance={"text": Branch(2.0, ("text",))})
    return objective, make_context(objective, trunk(specs), sampler, spread=0.3)


@pytest.mark.parametrize(
    "given,want",
    [(("text",), ("video", "audio")), (("video",), ("audio",)), (("audio", "text"), ("video",))],
)
def test_any_direction_from_one_network(trained, given, want):
    objective, ctx = trained
    asked = request(objective, given, want)
    sample = jax.jit(lambda given, key: objective.sample(
        ctx, dataclasses.replace(asked, given=given), key
    ))  # fmt: skip
    found = sample(asked.given, KEY)
    assert set(found) == set(want)
    for name in want:
        assert found[name].values.shape == SPECS[name].shape(BATCH)
        assert np.isfinite(found[name].values).all() and (found[name].time == 0.0).all()
    for name in given:  # each given stream steers the result
        stream = asked.given[name]
        other = stream.replace(values=stream.values[::-1])
        moved = sample({**asked.given, name: other}, KEY)
        assert np.abs(moved[want[0]].values - found[want[0]].values).max() > 1e-4


def test_a_known_first_frame_stays_and_steers_sound(trained):
    objective, ctx = trained
    spec = objective.streams["video"]
    known = spec.make(jnp.full(spec.shape(BATCH), 2.0))
    known = known.replace(mask=known.mask.at[:, 1:].set(False))
    sample = jax.jit(
        lambda known: objective.sample(
            ctx, Request({"video": known}, ("video", "audio"), BATCH), KEY
        )
    )
    found = sample(known)
    assert (found["video"].values[:, 0] == 2.0).all()
    assert not (found["video"].values[:, 1:] == 2.0).any()
    other = sample(known.replace(values=-known.values))
    assert np.abs(other["audio"].values - found["audio"].values).max() > 1e-4


def test_wrong_requests_are_a_users_mistake(trained):
    objective, ctx = trained
    with pytest.raises(UserError, match="no stream named 'sound'"):
        objective.sample(ctx, Request({}, ("sound",), 1), KEY)
    with pytest.raises(UserError, match="'text' is a condition"):
        objective.sample(ctx, Request({}, ("text",), 1), KEY)
