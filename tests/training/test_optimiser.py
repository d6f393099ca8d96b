"""Schedules and optimisers against their formulas in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.training.optimiser import AdamW, Muon, Schedule, Sgd


def walk(optimiser, params, gradients):
    """The parameters after each gradient in turn, and the last optimiser state."""
    transformation = optimiser.build()
    state, path = transformation.init(params), []
    for gradient in gradients:
        changes, state = transformation.update(gradient, state, params)
        params = {name: params[name] + changes[name] for name in params}
        path.append(params)
    return path, state


def arrays(seed, **shapes):
    rng = np.random.default_rng(seed)
    return {
        name.replace("__", "/"): jnp.asarray(rng.normal(size=shape), jnp.float32)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (Schedule(2.0), 0, 2.0),
        (Schedule(2.0), 999, 2.0),
        (Schedule(2.0, warmup=4), 0, 0.0),
        (Schedule(2.0, warmup=4), 3, 1.5),
        (Schedule(2.0, warmup=4), 50, 2.0),
        (Schedule(2.0, decay="linear", steps=10), 5, 1.0),
        (Schedule(2.0, warmup=2, decay="linear", steps=10, final=0.5), 6, 1.5),
        (Schedule(2.0, warmup=2, decay="linear", steps=10, final=0.5), 99, 1.0),
        (Schedule(2.0, warmup=2, decay="cosine", steps=10), 6, 1.0),
        (Schedule(2.0, warmup=2, decay="cosine", steps=10), 4, 1.0 + np.cos(np.pi / 4)),
        (Schedule(2.0, warmup=2, decay="cosine", steps=10, final=0.1), 10, 0.2),
        (Schedule(2.0, warmup=4, decay="rsqrt"), 2, 1.0),
        (Schedule(2.0, warmup=4, decay="rsqrt"), 16, 1.0),
    ],
)
def test_schedules(schedule, step, expected):
    assert float(schedule.build()(step)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "values",
    [{"decay": "cosin"}, {"decay": "cosine"}, {"decay": "linear", "warmup": 5, "steps": 5}],
)
def test_schedules_that_make_no_sense_are_refused(values):
    with pytest.raises(ValueError, match=r"Schedule\."):
        Schedule(1.0, **values)


def test_gradient_descent_with_momentum():
    params = arrays(0, w=(3, 2))
    gradients = [arrays(seed, w=(3, 2)) for seed in (1, 2, 3)]
    path, _ = walk(Sgd(Schedule(0.1), momentum=0.9), params, gradients)
    w, momentum = np.asarray(params["w"]), 0.0
    for gradient, found in zip(gradients, path, strict=True):
        momentum = 0.9 * momentum + np.asarray(gradient["w"])
        w = w - 0.1 * momentum
        np.testing.assert_allclose(found["w"], w, rtol=1e-5, atol=1e-6)


def test_adam_with_decoupled_decay_of_kernels_alone():
    params = arrays(0, dense__kernel=(3, 2), dense__bias=(2,), norm__scale=(2,))
    gradients = [arrays(seed, dense__kernel=(3, 2), dense__bias=(2,), norm__scale=(2,))
                 for seed in (1, 2, 3)]  # fmt: skip
    path, _ = walk(AdamW(Schedule(0.1), 0.8, 0.9, 1e-6, weight_decay=0.5), params, gradients)
    for name, value in params.items():
        value, first, second = np.asarray(value), 0.0, 0.0
        for index, gradient in enumerate(gradients):
            g = np.asarray(gradient[name])
            first, second = 0.8 * first + 0.2 * g, 0.9 * second + 0.1 * g**2
            change = first / (1 - 0.8 ** (index + 1))
            change = change / (np.sqrt(second / (1 - 0.9 ** (index + 1))) + 1e-6)
            decay = 0.5 * value if name == "dense/kernel" else 0.0
            value = value - 0.1 * (change + decay)
        np.testing.assert_allclose(path[-1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Sgd, AdamW, Muon])
def test_clipping_is_by_the_norm_of_all_gradients(kind):
    shapes = {"a__kernel": (3, 2), "b__bias": (2,)}
    params, gradient = arrays(0, **shapes), arrays(1, **shapes)
    norm = np.sqrt(sum(np.square(np.asarray(g)).sum() for g in gradient.values()))
    scaled = {name: g * (0.01 / norm) for name, g in gradient.items()}
    # A small gradient follows, since Adam and Muon do not see the scale of a single one.
    small = {name: g * 1e-3 for name, g in arrays(2, **shapes).items()}
    clipped = walk(kind(Schedule(0.1), clip=0.01), params, [gradient, small])[0][-1]
    expected = walk(kind(Schedule(0.1)), params, [scaled, small])[0][-1]
    free = walk(kind(Schedule(0.1)), params, [gradient, small])[0][-1]
    for name in params:
        np.testing.assert_allclose(clipped[name], expected[name], rtol=1e-4, atol=1e-6)
        assert np.abs(np.asarray(free[name] - expected[name])).max() > 1e-3


def orthogonalised(matrix):
    """Five Newton-Schulz steps of the quintic of Jordan et al. (2024)."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (np.linalg.norm(x) + 1e-8)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)])
def test_muon_orthogonalises_each_layer_of_a_stack(shape):
    params = arrays(0, net__blocks__kernel=(3, *shape), net__out__kernel=shape)
    gradients = [
        arrays(seed, net__blocks__kernel=(3, *shape), net__out__kernel=shape) for seed in (1, 2)
    ]
    optimiser = Muon(Schedule(0.1), momentum=0.9, weight_decay=0.2)
    path, _ = walk(optimiser, params, gradients)

    def expected(value, gradients):
        first, value = 0.0, np.asarray(value, np.float64)
        for index, gradient in enumerate(gradients, start=1):
            g = np.asarray(gradient, np.float64)
            first = 0.9 * first + 0.1 * g
            # Nesterov's look-ahead, both parts corrected for starting at zero
            ahead = 0.9 * first / (1 - 0.9 ** (index + 1)) + 0.1 * g / (1 - 0.9**index)
            change = orthogonalised(ahead) * max(1, shape[1] / shape[0]) ** 0.5
            value = value - 0.1 * (change + 0.2 * value)
        return value

    stack = [g["net/blocks/kernel"] for g in gradients]
    for layer in range(3):
        found = path[-1]["net/blocks/kernel"][layer]
        layers = [g[layer] for g in stack]
        np.testing.assert_allclose(
            found, expected(params["net/blocks/kernel"][layer], layers), rtol=1e-3, atol=1e-4
        )
    np.testing.assert_allclose(
        path[-1]["net/out/kernel"],
        expected(params["net/out/kernel"], [g["net/out/kernel"] for g in gradients]),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_muon_makes_singular_values_even():
    gradient = arrays(1, net__blocks__kernel=(2, 4, 6))
    params = {"net/blocks/kernel": jnp.zeros((2, 4, 6))}
    change = walk(Muon(Schedule(1.0)), params, [gradient])[0][0]["net/blocks/kernel"]
    values = np.linalg.svd(np.asarray(change), compute_uv=False) / 1.5**0.5
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_leaves_embeddings_heads_vectors_and_convolutions_to_adam():
    shapes = {
        "net__embed__kernel": (5, 4), "net__head__kernel": (4, 5), "net__bias": (4,),
        "net__blocks__norm__scale": (3, 4), "net__conv__kernel": (3, 3, 2, 4),
        "net__dense__kernel": (4, 4),
    }  # fmt: skip
    params, gradient = arrays(0, **shapes), arrays(1, **shapes)
    optimiser = Muon(Schedule(0.1), adam_ratio=0.5)
    after = walk(optimiser, params, [gradient])[0][-1]
    # Adam's first step is the gradient's sign times the rate, looked ahead: 1 + 0.9 * 0.1 / 0.19.
    adams = 0.05 * (1 + 0.09 / 0.19)
    for name in params:
        change = np.abs(np.asarray(after[name] - params[name]))
        assert np.allclose(change, adams, rtol=1e-3) == (name != "net/dense/kernel"), name


def test_the_rate_follows_the_optimisers_own_steps():
    params, gradient = arrays(0, w__kernel=(2, 2)), arrays(1, w__kernel=(2, 2))
    path, _ = walk(Sgd(Schedule(1.0, warmup=2)), params, [gradient] * 3)
    moves = np.diff([np.asarray(p["w/kernel"]) for p in [params, *path]], axis=0)
    for move, rate in zip(moves, (0.0, 0.5, 1.0), strict=True):
        np.testing.assert_allclose(move, -rate * np.asarray(gradient["w/kernel"]), atol=1e-6)
