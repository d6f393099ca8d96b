"""Clips packed into one row give the loss and the gradients that they give in rows of their own."""

import jax
import numpy as np
import pytest

from mmjax.processes.flow import Flow
from tests.contracts.network import Tokens, make_spec
from tests.contracts.toys.packed import Packed
from tests.harness import assert_near, make_system, mean, run

LENGTHS = ({"audio": 3, "video": 4}, {"audio": 5, "video": 2}, {"audio": 1, "video": 1})
CHANNELS = {"audio": 2, "video": 3}


def clips():
    """Sound and picture of each clip with noise, a time for each token, and its places."""
    rng = np.random.default_rng(0)
    for lengths in LENGTHS:
        clip = {}
        for name, length in lengths.items():
            clip[name] = rng.normal(size=(length, CHANNELS[name]))
            clip[f"{name}_noise"] = rng.normal(size=(length, CHANNELS[name]))
            clip[f"{name}_time"] = rng.uniform(0.1, 0.9, length)
            clip[f"{name}_positions"] = np.arange(length)[:, None] / length
            clip[f"{name}_mask"] = np.ones(length, bool)
            clip[f"{name}_segments"] = np.zeros(length, int)
        yield clip


def padded(rows, length):
    """Rows of unequal length as one array; the padding is loud, so that it may not be heard."""
    loud = {"b": False, "i": 0, "f": 0.5 if rows[0].ndim == 1 else 50.0}[rows[0].dtype.kind]
    out = np.full((len(rows), length, *rows[0].shape[1:]), loud, rows[0].dtype)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    kind = {"b": bool, "i": np.int32, "f": np.float32}[rows[0].dtype.kind]
    return out.astype(kind)


def unpacked():
    found = list(clips())
    return {key: padded([clip[key] for clip in found], 6) for key in found[0]}


def packed(segments=True):
    """The first two clips share a row; the third has one to itself."""
    found = list(clips())
    for index, clip in enumerate(found):
        for name in CHANNELS:
            clip[f"{name}_segments"] += index if segments else 0
    rows = [found[:2], found[2:]]
    return {
        key: padded([np.concatenate([clip[key] for clip in row]) for row in rows], 9)
        for key in found[0]
    }


def trained(batch):
    length = batch["audio"].shape[1]
    specs = {n: make_spec(n, (length,), Flow(), channels=c) for n, c in CHANNELS.items()}
    system = make_system(Packed(specs), {"denoiser": Tokens(CHANNELS, causal=False)})
    (before, after), logged = run(system, batch)
    return after.params, {name: mean(logged, name) for name in ("loss/audio", "loss/video")}


@pytest.fixture(scope="module")
def expected():
    return trained(unpacked())


def test_packed_clips_learn_what_unpacked_ones_do(expected):
    params, losses = trained(packed())
    assert losses == pytest.approx(expected[1], rel=1e-5)
    assert_near(params, expected[0])


def test_without_segments_they_would_hear_each_other(expected):
    params, losses = trained(packed(segments=False))
    assert losses != pytest.approx(expected[1], rel=1e-3)


def test_every_token_counts_once():
    length = packed()["audio"].shape[1]
    specs = {n: make_spec(n, (length,), Flow(), channels=c) for n, c in CHANNELS.items()}
    system = make_system(Packed(specs), {"denoiser": Tokens(CHANNELS, causal=False)})
    _, logged = run(system, packed())
    for name in CHANNELS:
        total = sum(lengths[name] for lengths in LENGTHS)
        assert logged[f"loss/{name}"][1] == total
        by_time = [v[1] for k, v in logged.items() if k.startswith(f"loss/{name}/time")]
        assert np.sum(jax.device_get(by_time)) == total
