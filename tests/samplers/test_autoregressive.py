"""Codes one after the other with the trunk's cache, against the same without a cache."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.layers.positions import Rotary
from mmjax.models.transformer import Transformer
from mmjax.objectives.base import Context
from mmjax.objectives.model import NetworkModel
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.rng import named
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.autoregressive import Autoregressive
from mmjax.samplers.base import Continued, run, scan, steps
from mmjax.samplers.guidance import Branch
from mmjax.samplers.ode import Euler
from mmjax.streams import StreamSpec, expand_time

KEY = jax.random.key(5)
LENGTH, CODES = 12, 7


def make_spec(name, grid, process, vocabulary=CODES):
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).astype(np.float32)
    return StreamSpec(
        name, name, grid, None if vocabulary else 3, vocabulary, ("index", "book")[: len(grid)],
        places, process=process,
    )  # fmt: skip


def make_model(specs, **fields):
    options = {
        "width": 16, "depth": 1, "heads": 2, "modulation": "none",
        "rope": Rotary(("index",), (8,), (1.0,)),
        "attention": {n: "causal" for n, s in specs.items() if not s.process.continuous},
    }  # fmt: skip
    network = Transformer(specs, **(options | fields))
    streams = begin(specs, {}, tuple(n for n, s in specs.items() if s.process.generative), 2, KEY)
    params = jax.jit(network.init)(KEY, streams)["params"]
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    noise = [p + 0.4 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    params = {"denoiser": jax.tree.unflatten(structure, noise)}
    return NetworkModel(Context({"denoiser": network}, params, params, {}), "denoiser")


def compiled(model):
    return jax.jit(lambda streams: model(streams))


def uncached(predict, specs, streams, name, choose):
    """Code after code by running the whole sequence each time, which is sampling by definition."""
    stream = streams[name]
    known = expand_time(stream.time == 0.0, stream.values)
    known = np.broadcast_to(known, stream.values.shape)
    values = np.array(stream.values)
    for index in range(values.shape[1]):
        seen = stream.replace(values=jnp.asarray(values), time=jnp.zeros(2))
        seen = {**streams, name: specs[name].process.observe(seen)}
        drawn = choose(predict(seen)[name][:, index], index)
        values[:, index] = np.where(known[:, index], values[:, index], drawn)
    return values


def greedy(logits, index):
    return np.argmax(logits, axis=-1)


@pytest.fixture(scope="module")
def text():
    specs = {"text": make_spec("text", (LENGTH,), NextToken(begin=1))}
    model = make_model(specs)
    return model, specs, compiled(model)


def prompt(specs, lengths):
    stream = specs["text"].make(jax.random.randint(KEY, (2, LENGTH), 0, CODES))
    mask = jnp.arange(LENGTH) < jnp.asarray(lengths)[:, None]
    return begin(specs, {"text": stream.replace(mask=mask)}, ("text",), 2, KEY)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_greedy_codes_are_those_of_the_uncached_model_from_one_compilation(text, chunk):
    model, specs, predict = text
    traces = []

    @jax.jit
    def sample(streams):
        traces.append(1)
        return scan(Autoregressive(0.0, chunk=chunk), model, specs, streams, ("text",), KEY)

    for lengths in [(0, 0), (4, 4), (3, 9), (12, 12)]:
        streams = prompt(specs, lengths)
        found = sample(streams)["text"].values
        np.testing.assert_array_equal(found, uncached(predict, specs, streams, "text", greedy))
        for row, length in enumerate(lengths):
            given = streams["text"].values[row, :length]
            np.testing.assert_array_equal(found[row, :length], given)
    assert len(traces) == 1


def test_a_prompt_is_read_in_chunks(text):
    """After ``start`` the cache holds the whole chunks of the prompt besides the first index."""
    model, specs, _ = text
    for lengths, chunk, read in [
        ((8, 8), 3, 6),
        ((8, 5), 3, 3),
        ((2, 2), 3, 0),
        ((12, 12), 64, 11),
    ]:
        sampler = Autoregressive(chunk=chunk)
        carry = sampler.start(model, specs, prompt(specs, lengths), ("text",), KEY)
        assert int(carry["index"]) == read
        assert int(carry["cache"]["length"]) == read + 1


def test_drawn_codes_follow_the_models_probabilities(text):
    """The same keys on the uncached logits give the same codes."""
    model, specs, predict = text
    streams = prompt(specs, (2, 2))
    sampler = Autoregressive(temperature=0.7, top_k=4, top_p=0.9)
    found = jax.jit(lambda: scan(sampler, model, specs, streams, ("text",), KEY))()["text"].values
    expected = uncached(
        predict, specs, streams, "text", lambda x, n: sampler.choose(x, named(KEY, "draw", n))
    )
    np.testing.assert_array_equal(found, expected)


def test_the_host_driver_shows_codes_as_they_come(text):
    model, specs, predict = text
    streams, sampler = prompt(specs, (3, 3)), Autoregressive(0.0, chunk=1)
    seen = [s["text"].values for s in steps(sampler, model, specs, streams, ("text",), KEY)]
    assert len(seen) == LENGTH
    np.testing.assert_array_equal(seen[-1], uncached(predict, specs, streams, "text", greedy))
    np.testing.assert_array_equal(seen[0][:, :4], seen[-1][:, :4])


@pytest.mark.parametrize("topology", ["joint", "dual", "encoder_decoder"])
def test_conditions_are_read_once_with_guidance_on_the_logits(topology):
    specs = {
        "label": make_spec("label", (2,), Clean()),
        "text": make_spec("text", (LENGTH,), NextToken(begin=1)),
    }
    model = make_model(specs, topology=topology, attention={"text": "causal"})
    given = {"label": specs["label"].make(jnp.array([[1, 2], [3, 4]]))}
    streams = begin(specs, given, ("text",), 2, KEY)
    sampler = Autoregressive(0.0, guidance={"label": Branch(3.0, ("label",))})
    found = jax.jit(lambda: scan(sampler, model, specs, streams, ("text",), KEY))()["text"].values

    def guided_by_hand(streams):
        hidden = streams["label"].replace(mask=jnp.zeros((2, 2), bool))
        full, free = model(streams)["text"], model({**streams, "label": hidden})["text"]
        return {"text": free + 3.0 * (full - free)}

    expected = uncached(jax.jit(guided_by_hand), specs, streams, "text", greedy)
    np.testing.assert_array_equal(found, expected)
    plain = uncached(compiled(model), specs, streams, "text", greedy)
    assert (plain != expected).any()  # guidance does something here


def test_parallel_codebooks_are_drawn_together():
    specs = {"codes": make_spec("codes", (6, 3), NextToken(begin=0))}
    model = make_model(specs, patch={"codes": (1, 3)})
    streams = begin(specs, {}, ("codes",), 2, KEY)
    sampler = Autoregressive(0.0)
    found = jax.jit(lambda: scan(sampler, model, specs, streams, ("codes",), KEY))()["codes"]
    assert found.values.shape == (2, 6, 3)
    expected = uncached(compiled(model), specs, streams, "codes", greedy)
    np.testing.assert_array_equal(found.values, expected)


def test_text_then_picture_then_text_on_one_cache():
    """Interleaved: codes, a flow that sees them, codes that see its clean result."""
    specs = {
        "text": make_spec("text", (4,), NextToken(begin=1)),
        "picture": make_spec("picture", (3,), Flow(), vocabulary=None),
    }
    attention = {"text": "causal", "picture": "full"}
    model = make_model(specs, attention=attention, modulation="adaln_zero")
    streams = begin(specs, {}, ("text", "picture"), 2, KEY)
    first, picture = {"text": streams["text"]}, {"picture": moved(streams["picture"], 4.0)}
    second = {"text": moved(streams["text"], 7.0)}
    room = {**streams, "text": twice(streams["text"])}

    def write(held, segment):
        carry = run(Autoregressive(0.0), Continued(model, held), specs, segment, ("text",), KEY)
        return carry["stream"], carry["cache"]

    def paint(held, segment):
        made = scan(Euler(4), Continued(model, held), specs, segment, ("picture",), KEY)
        return made["picture"], model.decode(made, held)[1]

    begun, held = jax.jit(write)(model.cache(room), first)
    painted, held = jax.jit(paint)(held, picture)
    ended, held = jax.jit(write)(held, second)
    assert int(held["length"]) == 4 + 3 + 4

    # The same without a cache: the picture beside the whole text, and beside none.
    seen = specs["text"].process.observe(begun)
    beside = {
        text: {**picture, "text": text_stream}
        for text, text_stream in (("read", seen), ("hidden", seen.replace(mask=0 * seen.mask > 0)))
    }
    found = {
        text: scan(Euler(4), model, specs, both, ("picture",), KEY)["picture"].values
        for text, both in beside.items()
    }
    np.testing.assert_allclose(painted.values, found["read"], atol=1e-4)
    assert np.abs(painted.values - found["hidden"]).max() > 1e-2

    # The codes after the picture change with it.
    _, held = jax.jit(write)(model.cache(room), first)
    other = {"picture": painted.replace(values=-painted.values)}
    changed, _ = jax.jit(write)(model.decode(other, held)[1], second)
    assert (changed.values != ended.values).any()


def moved(stream, offset):
    return stream.replace(positions=stream.positions + offset)


def twice(stream):
    return jax.tree.map(lambda x: jnp.concatenate([x, x], axis=1) if x.ndim > 1 else x, stream)


@pytest.mark.parametrize("top_k", [1, 3, 99])
def test_top_k_draws_among_the_likeliest(top_k):
    logits = jnp.tile(jnp.array([0.0, 2.0, 1.0, -1.0, 1.5]), (3000, 1))
    drawn = np.asarray(Autoregressive(top_k=top_k).choose(logits, KEY))
    order = [1, 4, 2, 0, 3][: min(top_k, 5)]
    weights = np.exp(np.asarray(logits[0]))[order]
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(shares[order], weights / weights.sum(), atol=0.04)
    assert shares[order].sum() == 1.0


@pytest.mark.parametrize(
    "top_p,kept", [(0.3, [0]), (0.5, [0]), (0.6, [0, 1]), (0.95, [0, 1, 2, 3])]
)
def test_top_p_draws_among_the_smallest_sufficient_set(top_p, kept):
    shares = np.array([0.5, 0.25, 0.15, 0.1])
    logits = jnp.tile(jnp.log(jnp.asarray(shares)), (3000, 1))
    drawn = np.asarray(Autoregressive(top_p=top_p).choose(logits, KEY))
    found = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(found[kept], shares[kept] / shares[kept].sum(), atol=0.04)
    assert found[kept].sum() == 1.0


def test_temperature_sharpens_and_zero_takes_the_likeliest():
    logits = jnp.tile(jnp.array([0.0, 1.0]), (3000, 1))
    for temperature in (0.5, 2.0):
        share = Autoregressive(temperature).choose(logits, KEY).mean()
        assert abs(share - 1 / (1 + np.exp(-1 / temperature))) < 0.04
    assert (Autoregressive(0.0).choose(logits, KEY) == 1).all()


def test_what_cannot_be_drawn_is_refused(text):
    model, specs, _ = text
    specs = {**specs, "x": make_spec("x", (4,), Flow(), None), "t": specs["text"]}
    streams = begin(specs, {}, tuple(specs), 2, KEY)
    with pytest.raises(UserError, match="one stream at a time, not text, t"):
        Autoregressive().start(model, specs, streams, ("text", "t"), KEY)
    with pytest.raises(UserError, match="draws codes; 'x' has none"):
        Autoregressive().start(model, specs, streams, ("x",), KEY)
    for fields in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"chunk": 0}):
        with pytest.raises(ValueError, match="Autoregressive takes"):
            Autoregressive(**fields)
    assert dataclasses.replace(Autoregressive(), chunk=2).chunk == 2
