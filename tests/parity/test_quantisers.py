"""Quantisers against ``vector_quantize_pytorch``: codes, vectors, losses, moving codebooks."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.factorised import Factorised
from mmjax.codecs.quantisers.finite_scalar import FiniteScalar
from mmjax.codecs.quantisers.gumbel import Gumbel
from mmjax.codecs.quantisers.lookup_free import LookupFree
from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.quantisers.residual import Residual
from tests.parity.conftest import _reference

pytestmark = pytest.mark.parity

BATCHES = np.random.default_rng(0).normal(size=(3, 4, 15, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def library(torch):
    return _reference("vector_quantize_pytorch")


@pytest.fixture
def pull(torch):
    """A batch that takes gradients."""
    return lambda x: torch.from_numpy(x.copy()).requires_grad_()


def book_of(quantiser):
    return quantiser._codebook.embed.detach().numpy()[0].copy()


def test_a_codebook_that_gradients_move(library, pull):
    theirs = library.VectorQuantize(
        6, 16, learnable_codebook=True, ema_update=False, rotation_trick=False
    ).train()
    ours, variables = Nearest(16, 6), {"params": {"codebook": jnp.asarray(book_of(theirs))}}
    x = pull(BATCHES[0])
    values, codes, loss = theirs(x)
    (loss.sum() + (values * 0.5).sum()).backward()

    def total(variables, x):
        found = ours.apply(variables, x)
        losses = found.losses["commitment"].mean()
        return losses + 0.5 * found.values.sum(), found

    (by_book, by_x), found = jax.grad(total, (0, 1), has_aux=True)(
        variables, jnp.asarray(BATCHES[0])
    )
    np.testing.assert_array_equal(found.codes, codes.numpy())
    np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.losses["commitment"].mean(), loss.item(), rtol=1e-5)
    np.testing.assert_allclose(by_x, x.grad.numpy(), atol=1e-5)
    # There one error moves both sides; here they are two losses with weights of their own.
    by_codebook = jax.grad(
        lambda v: ours.apply(v, jnp.asarray(BATCHES[0])).losses["codebook"].mean()
    )
    expected = theirs._codebook.embed.grad.numpy()[0]
    np.testing.assert_allclose(by_codebook(variables)["params"]["codebook"], expected, atol=1e-6)
    assert not np.any(by_book["params"]["codebook"]) and len(np.unique(codes)) >= 8


def test_moving_averages(library, pull):
    theirs = library.VectorQuantize(6, 16, decay=0.8, rotation_trick=False).train()
    ours = MovingAverage(16, 6, decay=0.8)
    state = ours.init(jax.random.key(0), jnp.asarray(BATCHES[0]))["codebook"]
    vectors = jnp.asarray(book_of(theirs))
    state = {**state, "vectors": vectors, "sums": vectors}
    for batch in BATCHES:
        values, codes, loss = theirs(pull(batch))
        found, new = ours.apply(
            {"codebook": state}, jnp.asarray(batch), train=True, mutable=["codebook"]
        )
        state = new["codebook"]
        np.testing.assert_array_equal(found.codes, codes.numpy())
        np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(found.losses["commitment"].mean(), loss.item(), rtol=1e-4)
        for name, buffer in (("counts", "cluster_size"), ("sums", "embed_avg")):
            expected = getattr(theirs._codebook, buffer).numpy()[0]
            np.testing.assert_allclose(state[name], expected, atol=1e-5)
        np.testing.assert_allclose(state["vectors"], book_of(theirs), atol=1e-4)
    assert len(np.unique(codes)) >= 8


def test_factorised_codes(torch, library, pull):
    theirs = library.VectorQuantize(
        6, 16, codebook_dim=3, use_cosine_sim=True, ema_update=False,
        rotation_trick=False,
    ).train()  # fmt: skip
    book = 3.0 * book_of(theirs)  # there entries have length 1, here they are brought to it
    params = {"codebook": jnp.asarray(book)}
    for name, layer in (("project", theirs.project_in), ("unproject", theirs.project_out)):
        kernel, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        params[name] = {"kernel": jnp.asarray(kernel.T), "bias": jnp.asarray(bias)}
    x = pull(BATCHES[0])
    values, codes, loss = theirs(x)
    (values.square().sum() + loss.sum()).backward()
    ours = Factorised(16, 3, 6)

    def total(x):
        found = ours.apply({"params": params}, x)
        return jnp.sum(jnp.square(found.values)) + found.losses["commitment"].mean(), found

    slope, found = jax.grad(total, has_aux=True)(jnp.asarray(BATCHES[0]))
    np.testing.assert_array_equal(found.codes, codes.numpy())
    np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.losses["commitment"].mean(), loss.item(), rtol=1e-4)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", [0, 3, 11])
def test_residual_levels_with_dropout(library, pull, seed):
    theirs = library.ResidualVQ(
        dim=6, num_quantizers=4, codebook_size=16, decay=0.8, rotation_trick=False,
        quantize_dropout=True,
    ).train()  # fmt: skip
    ours = Residual(MovingAverage(16, 6, decay=0.8), 4)
    x = jnp.asarray(BATCHES[0])
    state = ours.init(jax.random.key(0), x)["codebook"]
    for name, layer in zip(sorted(state), theirs.layers, strict=True):
        vectors = jnp.asarray(book_of(layer))
        state[name] = {**state[name], "vectors": vectors, "sums": vectors}
    kept = random.Random(seed).randrange(0, 4) + 1
    values, codes, loss = theirs(pull(BATCHES[0]), rand_quantize_dropout_fixed_seed=seed)
    found, new = ours.apply(
        {"codebook": state}, x, train=True, kept=jnp.full(len(x), kept), mutable=["codebook"]
    )
    np.testing.assert_array_equal(found.codes, codes.numpy())
    np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.losses["commitment"].mean(), loss.sum().item(), rtol=1e-4)
    for name, layer in zip(sorted(state), theirs.layers, strict=True):
        np.testing.assert_allclose(new["codebook"][name]["vectors"], book_of(layer), atol=1e-4)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5, 3, 4), (3, 4, 5, 6, 7, 8)])
def test_finite_scalars(library, pull, levels):
    theirs, ours = library.FSQ(list(levels)), FiniteScalar(levels)
    x = pull(2.0 * BATCHES[0])
    values, codes = theirs(x)
    values.square().sum().backward()

    def total(x):
        found = ours.apply({}, x)
        return jnp.sum(jnp.square(found.values)), found

    slope, found = jax.grad(total, has_aux=True)(jnp.asarray(2.0 * BATCHES[0]))
    np.testing.assert_array_equal(found.codes, codes.numpy())
    np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=1e-4)
    assert len(np.unique(codes)) >= 8


def test_signs(library, pull):
    theirs = library.LFQ(
        codebook_size=2**6, entropy_loss_weight=1.0, commitment_loss_weight=1.0
    ).train()
    # Mild logits, or the soft choice is hard and its entropy 0.
    x = pull(BATCHES[0])
    (values, codes, _), parts = theirs(x, inv_temperature=0.5, return_loss_breakdown=True)
    (parts.per_sample_entropy - parts.batch_entropy + parts.commitment).backward()
    ours = LookupFree(6, sharpness=0.5)

    def total(x):
        found = ours.apply({}, x, train=True)
        return sum(loss.mean() for loss in found.losses.values()), found

    slope, found = jax.grad(total, has_aux=True)(jnp.asarray(BATCHES[0]))
    np.testing.assert_array_equal(found.codes, codes.numpy())
    np.testing.assert_allclose(found.values, values.detach().numpy(), atol=1e-5)
    for name, expected in (
        ("entropy", parts.per_sample_entropy),
        ("diversity", -parts.batch_entropy),
        ("commitment", parts.commitment),
    ):
        np.testing.assert_allclose(found.losses[name].mean(), expected.item(), rtol=1e-4)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("hard", [False, True])
def test_relaxed_choices(torch, pull, monkeypatch, hard):
    """Against PyTorch's own ``gumbel_softmax``, given the same noise."""
    ours, rngs = Gumbel(6, 3, temperature=0.7, hard=hard), {"codes": jax.random.key(5)}
    key = ours.apply({}, rngs=rngs, method=lambda module: module.make_rng("codes"))
    noise = np.asarray(jax.random.gumbel(key, BATCHES[0].shape))
    book = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)

    def found(x):
        result = ours.apply({"params": {"codebook": book}}, x, train=True, rngs=rngs)
        return jnp.sum(result.values**3), result

    slope, result = jax.grad(found, has_aux=True)(jnp.asarray(BATCHES[0]))
    drawn = torch.from_numpy(np.exp(-noise))
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: drawn)
    x = pull(BATCHES[0])
    values = torch.nn.functional.gumbel_softmax(x, 0.7, hard=hard) @ torch.from_numpy(book)
    (values**3).sum().backward()
    np.testing.assert_allclose(result.values, values.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=1e-4)
