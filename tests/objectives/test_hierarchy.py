"""Priors over two levels of codes: what they learn from, what they see, how they are sampled."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.errors import UserError
from mmjax.objectives.base import Request
from mmjax.objectives.model import NetworkModel
from mmjax.processes.clean import Clean
from mmjax.training.restore import untrained
from mmjax.training.state import context
from tests.tiny import tiny

NAME = "image/vq_vae2_prior"
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def system():
    return tiny(NAME)[0]


@pytest.fixture(scope="module")
def ctx(system):
    """Parameters drawn wide enough for every input to be seen in the logits."""
    state, generator = untrained(system), np.random.default_rng(0)
    drawn = {
        path: jnp.asarray(0.5 * generator.normal(size=leaf.shape), jnp.float32)
        for path, leaf in tree.flatten(state.params).items()
    }
    return dataclasses.replace(context(system, state), params=tree.unflatten(drawn))


@pytest.fixture(scope="module")
def prepared(system, ctx):
    return jax.jit(lambda batch: system.objective.prepare(ctx, batch, KEY))(tiny(NAME)[1])


def losses(system, ctx):
    """A compiled function from streams to the cross-entropy of each code."""

    @jax.jit
    def terms(streams):
        found, _ = system.objective.terms(ctx, {"streams": streams}, KEY, "all")
        return {level: term.values for level, term in found.items()}

    return terms


def test_the_codes_are_those_of_the_codec_in_reading_order(system, ctx, prepared):
    values = system.streams["image"].encode(tiny(NAME)[1]).values
    found = jax.jit(lambda x: ctx.apply("autoencoder", x, method="encode").codes)(values)
    streams = prepared["streams"]
    np.testing.assert_array_equal(streams["bottom"].values, np.reshape(found["bottom"], (8, 4)))
    np.testing.assert_array_equal(streams["top"].values, np.reshape(found["top"], (8, 1)))
    np.testing.assert_array_equal(streams["coarse"].values, streams["top"].values)
    np.testing.assert_array_equal(streams["bottom"].positions[0], [[2, 2], [2, 6], [6, 2], [6, 6]])


def test_each_level_sees_the_class_and_the_bottom_one_the_top_and_nothing_later(
    system, ctx, prepared
):
    streams, terms = prepared["streams"], losses(system, ctx)
    before = terms(streams)

    def moved(name, change):
        stream = streams[name]
        after = terms({**streams, name: stream.replace(values=change(stream.values))})
        return {k: np.any(np.abs(after[k] - before[k]) > 1e-6, axis=0) for k in before}

    by_class = moved("label", lambda x: (x + 1) % 10)
    assert by_class["top"].all() and by_class["bottom"].all()
    by_top = moved("coarse", lambda x: (x + 1) % 8)
    assert by_top["bottom"].all() and not by_top["top"].any()
    by_third = moved("bottom", lambda x: x.at[:, 2].set((x[:, 2] + 1) % 8))
    np.testing.assert_array_equal(by_third["bottom"], [False, False, True, True])
    assert not by_third["top"].any()


def test_a_sample_is_the_picture_of_codes_drawn_from_the_top_down(system, ctx):
    label = system.streams["label"].make(jnp.arange(3, dtype=jnp.int32))
    greedy = dataclasses.replace(system.sampler, temperature=0.0)
    ctx = dataclasses.replace(ctx, sampler=greedy)
    request = Request({"label": label}, ("image", "top"), 3)
    found = jax.jit(lambda: system.objective.sample(ctx, request, KEY))()

    chosen = jax.jit(
        lambda streams, level: jnp.argmax(NetworkModel(ctx, level)(streams)[level], axis=-1),
        static_argnums=1,
    )
    codes, streams = {}, {"label": label}
    for level, count in (("top", 1), ("bottom", 4)):
        spec, drawn = system.streams[level], np.zeros((3, count), np.int32)
        for index in range(count):
            shifted = spec.make(spec.process.shift(jnp.asarray(drawn)))
            drawn[:, index] = chosen({**streams, level: shifted}, level)[:, index]
        streams["coarse"] = system.streams["coarse"].make(jnp.asarray(codes.get("top", drawn)))
        codes[level] = drawn
    grids = {"top": codes["top"].reshape(3, 1, 1), "bottom": codes["bottom"].reshape(3, 2, 2)}
    made = jax.jit(lambda x: ctx.apply("autoencoder", x, method="decode"))(
        jax.tree.map(jnp.asarray, grids)
    )
    np.testing.assert_allclose(found["image"].values, made, rtol=1e-4, atol=1e-4)
    assert set(found) == {"image"} and len(np.unique(codes["bottom"])) > 1


def test_the_codec_stays_as_it_is(system):
    assert set(system.updates) == {"all"}
    chosen = tree.select(tree.flatten(untrained(system).params), system.updates["all"].params)
    assert {path.partition("/")[0] for path in chosen} == {"top", "bottom"}


def test_mistakes_are_named(system, ctx):
    image = system.streams["image"].make(jnp.zeros((1, 8, 8, 1)))
    for request in (Request({"image": image}, ("top",), 1), Request({}, ("top",), 1)):
        with pytest.raises(UserError, match="makes 'image'; give it 'label' alone"):
            system.objective.sample(ctx, request, KEY)
    wrong = {**system.streams, "top": dataclasses.replace(system.streams["top"], process=Clean())}
    with pytest.raises(UserError, match="streams.top.process: must be NextToken"):
        dataclasses.replace(system.objective, streams=wrong)
    with pytest.raises(ValueError, match="read_as must be one of"):
        dataclasses.replace(system.objective, read_as={"top": "above"})
