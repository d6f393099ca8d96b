"""Guidance: free where it does nothing, and equal to its formula where it does something."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.words import Bytes
from mmjax.errors import UserError
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.rng import named
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.base import scan
from mmjax.samplers.guidance import Branch, drop_stream, guided
from mmjax.samplers.ode import Euler
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)
GRID = {"text": (3,), "video": (4,), "audio": (5,)}


def make_spec(name, dropped):
    text = name == "text"
    facts = {"channels": None, "vocabulary": 259} if text else {"channels": 2, "vocabulary": None}
    return StreamSpec(
        name, name, GRID[name], axes=("index",), grid_positions=np.zeros((*GRID[name], 1)),
        codec=Bytes(3) if text else None, process=Clean() if text else Flow(), dropped=dropped,
        **facts,
    )  # fmt: skip


SPECS = {
    "text": make_spec("text", "mask"),
    "video": make_spec("video", "noise"),
    "audio": make_spec("audio", "noise"),
}


class Sum:
    """Predicts of each stream its values plus what it sees of the others; counts its calls' rows.

    A nonlinear mixture, so that dropping two streams at once is not the sum of dropping each.
    """

    def __init__(self):
        self.rows = []

    def __call__(self, streams):
        rows = next(iter(streams.values())).values.shape[0]
        self.rows.append(rows)
        total = jnp.zeros(rows)
        for stream in streams.values():
            values = stream.values.reshape(rows, len(stream.mask[0]), -1).mean(-1)
            total += (values * stream.mask).sum(-1) * (2.0 - stream.time)
        others = jnp.sin(total)[:, None, None]
        return {n: s.values + others for n, s in streams.items() if n != "text"}

    def cache(self, streams):
        rows = next(iter(streams.values())).values.shape[0]
        return jnp.zeros(rows)

    def decode(self, streams, cache):
        return self(streams), cache + 1


def draw():
    keys = jax.random.split(KEY, 3)
    return {
        "text": SPECS["text"].make(jax.random.randint(keys[0], (2, 3), 3, 9)),
        "video": SPECS["video"].make(jax.random.normal(keys[1], (2, 4, 2)), time=jnp.full(2, 0.5)),
        "audio": SPECS["audio"].make(jax.random.normal(keys[2], (2, 5, 2)), time=jnp.full(2, 0.5)),
    }


def without(streams, name, key):
    nothing = jnp.zeros(2, bool)
    return {**streams, name: drop_stream(streams[name], SPECS[name], nothing, key)}


def test_scale_one_is_the_model_itself():
    model = Sum()
    assert guided(model, {}, SPECS, KEY) is model
    assert guided(model, {"text": Branch(1.0, ("text",))}, SPECS, KEY) is model


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_one_branch_is_the_usual_formula_in_one_call(scale):
    streams, model = draw(), Sum()
    found = guided(model, {"text": Branch(scale, ("text",))}, SPECS, KEY)(streams)
    assert model.rows == [4]
    conditional, free = model(streams), model(without(streams, "text", KEY))
    for name in ("video", "audio"):
        expected = free[name] + scale * (conditional[name] - free[name])
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
        assert np.abs(conditional[name] - free[name]).max() > 1e-3


def test_two_branches_add_up_and_targets_limit_them():
    streams, model = draw(), Sum()
    branches = {
        "text": Branch(3.0, ("text",)),
        "sound": Branch(2.0, ("audio",)),
        "idle": Branch(1.0, ("video",)),
        "picture_only": Branch(4.0, ("text",), ("video",)),
    }
    found = guided(model, branches, SPECS, KEY)(streams)
    assert model.rows == [8]
    full, no_text = model(streams), model(without(streams, "text", KEY))
    text = {name: full[name] - no_text[name] for name in ("video", "audio")}
    from_text = {"video": (2.0 + 3.0) * text["video"], "audio": 2.0 * text["audio"]}
    np.testing.assert_allclose(found["audio"], full["audio"] + from_text["audio"], atol=1e-5)
    # What the sound branch adds to the picture depends on its noise, which is known by its key.
    no_audio = model(without(streams, "audio", named(KEY, "sound", "audio")))
    from_audio = full["video"] - no_audio["video"]
    assert np.abs(from_audio).max() > 1e-3
    np.testing.assert_allclose(
        found["video"], full["video"] + from_text["video"] + from_audio, atol=1e-5
    )


def test_a_branch_never_guides_the_stream_that_it_drops():
    branch = Branch(2.0, ("audio",))
    assert branch.guides("video") and not branch.guides("audio")
    assert not Branch(2.0, ("audio",), ("audio",)).guides("audio")
    assert not Branch(2.0, ("audio",), ("video",)).guides("text")


def test_the_cache_has_rows_for_every_branch():
    streams, model = draw(), Sum()
    wrapped = guided(model, {"text": Branch(2.0, ("text",))}, SPECS, KEY)
    cache = wrapped.cache(streams)
    assert cache.shape == (4,)
    predicted, after = wrapped.decode(streams, cache)
    np.testing.assert_allclose(predicted["video"], wrapped(streams)["video"])
    assert (after == 1).all() and (cache == 0).all()
    part = {"video": streams["video"]}  # a later call, whose text is in the cache already
    found, _ = wrapped.decode(part, after)
    np.testing.assert_allclose(found["video"], model(part)["video"], rtol=1e-5)


def test_samplers_apply_their_guidance():
    given = {"text": draw()["text"]}
    streams = begin(SPECS, given, ("video", "audio"), 2, KEY)
    found = []
    for scale in (1.0, 5.0):
        sampler = Euler(2, guidance={"text": Branch(scale, ("text",))})
        model = Sum()
        found.append(scan(sampler, model, SPECS, streams, ("video", "audio"), KEY))
        assert set(model.rows) == {2 if scale == 1.0 else 4}
    assert np.abs(found[0]["video"].values - found[1]["video"].values).max() > 1e-2


@pytest.mark.parametrize("keep", [[True, False], [False, True]])
def test_the_ways_of_dropping(keep):
    streams, keep, kept = draw(), jnp.array(keep), keep.index(True)
    lost = 1 - kept
    masked = drop_stream(streams["text"], SPECS["text"], keep, KEY)
    assert masked.mask[kept].all() and not masked.mask[lost].any()
    np.testing.assert_array_equal(masked.values, streams["text"].values)

    framed = streams["video"].replace(time=jnp.full((2, 4), 0.5))
    for stream in (streams["video"], framed):
        noisy = drop_stream(stream, SPECS["video"], keep, KEY)
        assert (noisy.time[lost] == 1.0).all() and (noisy.time[kept] == 0.5).all()
        np.testing.assert_array_equal(noisy.values[kept], stream.values[kept])
        assert not np.any(noisy.values[lost] == stream.values[lost])
        assert noisy.mask.all()

    empty = drop_stream(streams["text"], make_spec("text", "empty"), keep, KEY)
    assert empty.values[lost].tolist() == [Bytes.end, Bytes.pad, Bytes.pad]
    assert empty.mask[lost].tolist() == [True, False, False]
    np.testing.assert_array_equal(empty.values[kept], streams["text"].values[kept])


def test_impossible_ways_of_dropping_are_refused():
    stream, keep = draw()["video"], jnp.ones(2, bool)
    with pytest.raises(UserError, match="streams.video.dropped.*tokeniser"):
        drop_stream(stream, make_spec("video", "empty"), keep, KEY)
    with pytest.raises(ValueError, match="streams.video.dropped must be one of"):
        drop_stream(stream, make_spec("video", "null"), keep, KEY)
