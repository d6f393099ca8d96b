import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.positions import Rotary, SinCos
from mmjax.models.transformer import MODULATIONS, TOPOLOGIES, Transformer
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.streams import StreamSpec
from mmjax.tree import flatten

AXES = ("time", "height", "width", "index")
ROPE = Rotary(AXES, (2, 2, 2, 2), (0.1, 1.0, 1.0, 1.0))


def spec(name, grid, axes, process, channels=None, vocabulary=None, units=None):
    units = units or (1.0,) * len(grid)
    places = [(np.arange(n) + 0.5) * u for n, u in zip(grid, units, strict=True)]
    positions = np.stack(np.meshgrid(*places, indexing="ij"), -1).astype(np.float32)
    return StreamSpec(name, name, grid, channels, vocabulary, axes, positions, process=process)


SPECS = {
    "text": spec("text", (4,), ("index",), Clean(), vocabulary=7),
    "video": spec(
        "video", (2, 4, 4), ("time", "height", "width"), Flow(), channels=3, units=(0.2, 1.0, 1.0)
    ),
    "audio": spec("audio", (6,), ("time",), Flow(), channels=4, units=(0.1,)),
}


def make(**fields):
    options = {"width": 16, "depth": 2, "heads": 2, "patch": {"video": (1, 2, 2)}, "rope": ROPE}
    return Transformer(SPECS, **(options | fields))


def draw(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        "text": SPECS["text"].make(jax.random.randint(keys[0], (2, 4), 0, 7)),
        "video": SPECS["video"].make(
            jax.random.normal(keys[1], (2, 2, 4, 4, 3)),
            time=jnp.array([[0.1, 0.9], [0.3, 0.4]])[:, :, None, None],
        ),
        "audio": SPECS["audio"].make(
            jax.random.normal(keys[2], (2, 6, 4)), time=jnp.array([0.5, 0.7])
        ),
    }


class Trial:
    """A network with noise where parameters start at zero, which would hide the wiring."""

    def __init__(self, model, streams):
        params = jax.jit(model.init)(jax.random.key(0), streams)["params"]
        leaves, structure = jax.tree.flatten(params)
        draw = np.random.default_rng(0).normal
        noisy = [p + 0.2 * draw(size=p.shape).astype(np.float32) for p in leaves]
        self.model, self.params = model, jax.tree.unflatten(structure, noisy)
        self.apply = jax.jit(model.apply)

    def __call__(self, streams):
        out = self.apply({"params": self.params}, streams)
        return {name: np.asarray(stream.values) for name, stream in out.items()}

    def changed(self, **fields):
        """The same parameters run by a network with other settings."""
        other = copy.copy(self)
        other.model = self.model.clone(**fields)
        other.apply = jax.jit(other.model.apply)
        return other


def distance(a, b):
    return max(np.abs(a[name] - b[name]).max() for name in a)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def trial(request):
    return Trial(make(topology=request.param), draw())


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("modulation", MODULATIONS)
def test_generative_streams_are_predicted_in_their_shapes(topology, modulation):
    model, streams = make(topology=topology, modulation=modulation, qk_norm=True), draw()
    variables = jax.jit(model.init)(jax.random.key(0), streams)
    out = jax.jit(functools.partial(model.apply, train=True))(variables, streams)
    assert {name: s.values.shape for name, s in out.items()} == {
        "video": (2, 2, 4, 4, 3),
        "audio": (2, 6, 4),
    }
    np.testing.assert_array_equal(out["video"].time, streams["video"].time)
    if modulation == "adaln_zero":  # adaLN-Zero: a new network predicts nothing
        assert all(np.all(s.values == 0) for s in out.values())


def test_every_parameter_matters_and_gradients_are_finite(trial):
    streams = draw()
    streams["text"] = streams["text"].replace(mask=streams["text"].mask.at[0].set(False))

    def loss(params):
        out = trial.model.apply({"params": params}, streams)
        return sum(jnp.mean((s.values - 1) ** 2) for s in out.values())

    for path, gradient in flatten(jax.jit(jax.grad(loss))(trial.params)).items():
        assert np.isfinite(gradient).all(), path
        # A text lane's last outputs are read by nobody, and softmax ignores a shift of all keys.
        if "/text/" not in path and "key/linear/bias" not in path:
            assert np.abs(gradient).max() > 0, path


@pytest.mark.parametrize("name", ["text", "video", "audio"])
def test_wiring_mutations_are_noticed(trial, name):
    """Each mutation of what reaches the network changes what it predicts."""
    streams = draw()
    reference = trial(streams)
    stream = streams[name]
    later = jnp.zeros(stream.mask.shape, int).at[:, 1:].set(1)
    mutations = {
        "values reversed": stream.replace(values=stream.values[:, ::-1]),
        "positions zeroed": stream.replace(positions=0 * stream.positions),
        "mask dropped": stream.replace(mask=stream.mask.at[:, :1].set(False)),
        "segments split": stream.replace(segments=later),
    }
    if name != "text":  # whose time is 0 already
        mutations["time zeroed"] = stream.replace(time=0 * stream.time)
    if trial.model.topology == "encoder_decoder" and name == "text":
        del mutations["segments split"]  # the decoder's tokens carry none to compare with
    for mutation, mutated in mutations.items():
        changed = trial(streams | {name: mutated})
        assert distance(reference, changed) > 1e-3, f"{mutation} of {name} goes unnoticed"


def test_streams_are_told_apart():
    """Two streams of one shape, swapped, are not the same input."""
    specs = {n: dataclasses.replace(SPECS["audio"], name=n) for n in ("left", "right")}
    for topology in ("joint", "dual"):
        model = Transformer(specs, 16, 2, 2, topology=topology, rope=ROPE)
        left, right = draw(0)["audio"], draw(1)["audio"]
        trial = Trial(model, {"left": left, "right": right})
        straight = trial({"left": left, "right": right})
        swapped = trial({"left": right, "right": left})
        assert np.abs(straight["left"] - swapped["right"]).max() > 1e-3


def test_the_content_of_padding_does_not_matter(trial):
    streams = draw()
    hidden = {"text": np.s_[:, 2:], "video": np.s_[0, 1], "audio": np.s_[:, 4:]}
    streams = {n: s.replace(mask=s.mask.at[hidden[n]].set(False)) for n, s in streams.items()}
    other = {
        n: s.replace(values=s.values.at[hidden[n]].set(draw(5)[n].values[hidden[n]]))
        for n, s in streams.items()
    }
    first, second = trial(streams), trial(other)
    for name in first:
        kept = np.asarray(streams[name].mask)
        np.testing.assert_allclose(first[name][kept], second[name][kept], atol=2e-6)
        assert np.abs(first[name] - second[name]).max() > 1e-3  # the padding itself did change


def test_a_fully_masked_batch_is_finite(trial):
    streams = draw()
    empty = {n: s.replace(mask=jnp.zeros_like(s.mask)) for n, s in streams.items()}
    assert all(np.isfinite(v).all() for v in trial(empty).values())


def test_packed_clips_equal_separate_ones(trial):
    """Two clips in one row under two segments give what they give in two rows."""
    streams = draw()
    streams["video"] = streams["video"].replace(time=jnp.array([0.1, 0.3])[:, None, None, None])
    apart = trial(streams)

    def pack(name, stream):
        def side_by_side(x):
            return jnp.concatenate([x[:1], x[1:]], axis=1)

        time = stream.time.reshape(2, *(1,) * len(SPECS[name].grid))
        time = jnp.broadcast_to(time, (2, SPECS[name].grid[0], *time.shape[2:]))
        segments = jnp.broadcast_to(
            jnp.arange(2).reshape(2, *(1,) * len(SPECS[name].grid)), (2, *SPECS[name].grid)
        )
        return dataclasses.replace(
            stream,
            values=side_by_side(stream.values),
            time=side_by_side(time),
            mask=side_by_side(stream.mask),
            positions=side_by_side(stream.positions),
            segments=side_by_side(segments),
        )

    packed = trial({n: pack(n, s) for n, s in streams.items()})
    for name in apart:
        both = np.concatenate([apart[name][:1], apart[name][1:]], axis=1)
        np.testing.assert_allclose(packed[name], both, atol=2e-5)


def test_scanned_equals_unrolled_and_rematerialised(trial):
    streams = draw()
    reference = trial(streams)
    for change in ({"scan_unroll": 1}, {"remat": "full"}, {"higher_order": True}):
        assert distance(reference, trial.changed(**change)(streams)) < 1e-5


def test_grouped_queries_and_half_precision():
    model, streams = make(kv_heads=1, qk_norm=True, norm="rms"), draw()
    trial = Trial(model, streams)
    assert trial.params["blocks"]["joint"]["key"]["linear"]["kernel"].shape == (2, 16, 8)
    reference = trial(streams)
    half = trial.changed(dtype="bfloat16")(streams)
    assert all(v.dtype == np.float32 for v in half.values())
    assert distance(reference, half) < 0.1 * max(v.std() for v in reference.values())


def test_dual_lanes_may_differ_in_width():
    model, streams = make(topology="dual", widths={"audio": 8}), draw()
    params = jax.eval_shape(model.init, jax.random.key(0), streams)["params"]
    assert params["blocks"]["audio"]["mlp"]["up"]["kernel"].shape == (2, 8, 32)
    assert params["blocks"]["video"]["query"]["linear"]["kernel"].shape == (2, 16, 16)
    assert params["blocks"]["audio"]["query"]["linear"]["kernel"].shape == (2, 8, 16)


def test_pooled_streams_modulate_instead_of_being_tokens():
    model, streams = make(pooled=("text",)), draw()
    trial = Trial(model, streams)
    reference = trial(streams)
    mutated = streams | {"text": streams["text"].replace(values=(streams["text"].values + 1) % 7)}
    assert distance(reference, trial(mutated)) > 1e-3
    outputs = jax.eval_shape(
        functools.partial(model.apply, mutable=["hidden"]), {"params": trial.params}, streams
    )[1]["hidden"]
    assert outputs["blocks"]["output"]["joint"].shape == (2, 2, 8 + 6, 16)


def test_any_grid_that_the_patch_divides(trial):
    longer = spec("video", (3, 6, 4), SPECS["video"].axes, Flow(), channels=3)
    streams = draw() | {"video": longer.make(jnp.ones((2, 3, 6, 4, 3)))}
    assert trial(streams)["video"].shape == (2, 3, 6, 4, 3)


@pytest.mark.parametrize("program", ["causal", "frame_causal"])
def test_causal_streams_do_not_see_the_future(program):
    model, streams = make(attention=dict.fromkeys(("video", "audio"), program)), draw()
    trial = Trial(model, streams)
    reference = trial(streams)
    late = streams["audio"].replace(values=streams["audio"].values.at[:, -1].add(1.0))
    changed = trial(streams | {"audio": late})
    np.testing.assert_allclose(changed["video"], reference["video"], atol=1e-6)
    np.testing.assert_allclose(changed["audio"][:, :-1], reference["audio"][:, :-1], atol=1e-6)
    assert np.abs(changed["audio"][:, -1] - reference["audio"][:, -1]).max() > 1e-3


def language_model(topology):
    specs = {
        "text": spec("text", (4,), ("index",), Clean(), vocabulary=7),
        "code": spec("code", (8,), ("index",), NextToken(), vocabulary=5),
    }
    rope = Rotary(("index",), (8,), (1.0,))
    fields = {"modulation": "none", "rope": rope, "kv_heads": 1, "attention": {"code": "causal"}}
    model = Transformer(specs, 16, 2, 2, topology=topology, **fields)
    keys = jax.random.split(jax.random.key(3), 2)
    streams = {
        "text": specs["text"].make(jax.random.randint(keys[0], (2, 4), 0, 7)),
        "code": specs["code"].make(jax.random.randint(keys[1], (2, 8), 0, 5)),
    }
    streams["text"] = streams["text"].replace(mask=streams["text"].mask.at[0, 3].set(False))
    return model, streams


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_decoding_with_a_cache_equals_the_full_pass(topology):
    model, streams = language_model(topology)
    trial = Trial(model, streams)
    full = trial(streams)["code"]
    step = jax.jit(functools.partial(model.apply, decode=True, mutable=["cache"]))
    abstract = jax.eval_shape(lambda: model.init(jax.random.key(0), streams, decode=True))
    cache = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract["cache"])
    pieces, start = [], 0
    for i, length in enumerate((3, 1, 1, 1, 1, 1)):
        chunk, cut = streams["code"], np.s_[:, start : start + length]
        chunk = chunk.replace(
            values=chunk.values[cut], mask=chunk.mask[cut], positions=chunk.positions[cut]
        )
        given = {"code": chunk} | ({"text": streams["text"]} if i == 0 else {})
        out, changed = step({"params": trial.params, "cache": cache}, given)
        cache = changed["cache"]
        pieces.append(out["code"].values)
        start += length
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), full, atol=2e-5)
    assert int(cache["length"]) == 8 + (0 if topology == "encoder_decoder" else 4)


def test_mistakes_are_named():
    for fields, message in (
        ({"topology": "triple"}, "topology 'triple' is none of"),
        ({"modulation": "film"}, "modulation 'film' is none of"),
        ({"heads": 3}, "width 16 does not divide into 3 heads"),
        ({"pooled": ("text",), "modulation": "none"}, "pooled streams reach the tokens"),
        ({"widths": {"audio": 8}}, "widths are for the dual topology"),
        ({"patch": {"vidoe": (1, 2, 2)}}, r"no stream \['vidoe'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**fields)
    model, streams = make(), draw()
    with pytest.raises(ValueError, match=r"streams \['text'\] are missing"):
        model.init(jax.random.key(0), {n: s for n, s in streams.items() if n != "text"})
    with pytest.raises(ValueError, match=r"no stream \['depth'\]"):
        model.init(jax.random.key(0), streams | {"depth": streams["audio"]})
    packed = streams["audio"].replace(segments=jnp.zeros((2, 6), jnp.int32))
    with pytest.raises(ValueError, match="packed streams cannot be decoded"):
        model.init(jax.random.key(0), streams | {"audio": packed}, decode=True)


def test_absolute_positions_reach_the_tokens():
    streams = draw()
    model = make(rope=None, absolute=SinCos(("width", "height"), (2.0, 2.0), origin=0.5))
    trial = Trial(model, streams)
    moved = streams["video"].replace(positions=streams["video"].positions + 2.0)
    changed = trial(streams | {"video": moved})
    assert distance(trial(streams), changed) > 1e-3
