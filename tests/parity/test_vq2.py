"""VQ-VAE-2's codec against the published wiring, written with PyTorch's own operations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.vq2 import VQAutoencoder2
from mmjax.errors import UserError
from tests.parity.codecs import first, last

pytestmark = pytest.mark.parity

CODEC = VQAutoencoder2(MovingAverage(16, 4), 4, channels=2, width=8, blocks=2, inner=3)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 24, 40, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    generator = np.random.default_rng(1)

    def draw(leaf):
        spread = 1.4 * max(np.prod(leaf.shape[:-1]), 1) ** -0.5
        return jnp.asarray(spread * generator.normal(size=leaf.shape), jnp.float32)

    found = jax.tree.map(draw, dict(jax.eval_shape(CODEC.init, jax.random.key(0), IMAGES)))
    encode = jax.jit(lambda variables: CODEC.apply(variables, jnp.asarray(IMAGES), method="encode"))
    for name in ("top", "bottom"):  # entries near the vectors, so that many are used
        rows = encode(found).found[name].mean.reshape(-1, 4)[:16]
        noise = 0.1 * np.std(rows) * generator.normal(size=rows.shape)
        found["codebook"][name]["vectors"] = jnp.asarray(rows + noise, jnp.float32)
    return found


@pytest.fixture(scope="module")
def reference(torch, variables):
    """The network as functions of tensors with channels first."""
    call, params = torch.nn.functional, tree.flatten(variables["params"])
    params = {path: np.array(leaf) for path, leaf in params.items()}

    def conv(x, path, stride=1):
        kernel = torch.from_numpy(params[f"{path}/kernel"].transpose(3, 2, 0, 1).copy())
        bias = torch.from_numpy(params[f"{path}/bias"])
        return call.conv2d(x, kernel, bias, stride, (kernel.shape[-1] - 1) // 2)

    def up(x, path):
        kernel = params[f"{path}/kernel"][::-1, ::-1].transpose(2, 3, 0, 1).copy()
        bias = torch.from_numpy(params[f"{path}/bias"])
        return call.conv_transpose2d(x, torch.from_numpy(kernel), bias, 2, 1)

    def blocks(x, path):
        for block in (f"{path}/block_0", f"{path}/block_1"):
            x = x + conv(conv(x.relu(), f"{block}_conv_0").relu(), f"{block}_conv_1")
        return x.relu()

    def nearest(x, name):
        book = torch.from_numpy(np.array(variables["codebook"][name]["vectors"]))
        codes = torch.cdist(x.movedim(1, -1), book).argmin(-1)
        return codes, x + (book[codes].movedim(-1, 1) - x).detach()

    def encode(x):
        x = conv(x, "encode_bottom/down_0", 2).relu()
        x = conv(x, "encode_bottom/down_1", 2).relu()
        fine = blocks(conv(x, "encode_bottom/conv_in"), "encode_bottom")
        x = conv(fine, "encode_top/down_0", 2).relu()
        x = blocks(conv(x, "encode_top/conv_in"), "encode_top")
        top = conv(x, "project_top")
        top_codes, vectors = nearest(top, "top")
        x = blocks(conv(vectors, "decode_top/conv_in"), "decode_top")
        x = torch.cat([up(x, "decode_top/conv_out"), fine], 1)
        bottom = conv(x, "project_bottom")
        return {"top": (top, top_codes), "bottom": (bottom, nearest(bottom, "bottom")[0])}

    def decode(top, bottom):
        x = torch.cat([up(top, "spread_top"), bottom], 1)
        x = blocks(conv(x, "decoder/conv_in"), "decoder")
        return up(up(x, "decoder/up_0").relu(), "decoder/conv_out")

    return encode, decode


def test_codes_and_reconstruction(variables, reference, assert_near, assert_same_gradients):
    encode, decode = reference
    images = first(IMAGES).requires_grad_()
    expected = encode(images)

    def code(images):
        found = CODEC.apply(variables, images, method="encode")
        return jnp.sum(found.found["bottom"].mean ** 2), found

    slope, found = jax.jit(jax.grad(code, has_aux=True))(jnp.asarray(IMAGES))
    for name, (vectors, codes) in expected.items():
        assert_near(found.found[name].mean, last(vectors))
        np.testing.assert_array_equal(found.codes[name], codes.numpy())
        assert len(np.unique(codes)) >= 8
    grids = {name: codes.shape[1:] for name, codes in found.codes.items()}
    assert grids == CODEC.grids(IMAGES.shape[1:]) == {"top": (3, 5), "bottom": (6, 10)}
    again = jax.jit(lambda codes: CODEC.apply(variables, codes, method="decode"))
    vectors = {name: jnp.asarray(last(pair[0])) for name, pair in expected.items()}
    assert_near(again(vectors), last(decode(expected["top"][0], expected["bottom"][0])))
    np.testing.assert_allclose(again(found.codes), again(found.values), atol=1e-4)
    expected["bottom"][0].square().sum().backward()
    assert_same_gradients({"input": slope}, {"input": last(images.grad)})


def test_losses_and_use_are_told_by_level(variables):
    options = {"method": "encode", "train": True, "mutable": ["codebook"]}
    found, changed = jax.jit(lambda v: CODEC.apply(v, jnp.asarray(IMAGES), **options))(variables)
    assert set(found.penalties(1)) == {"top_commitment", "bottom_commitment"}
    assert set(found.use()) == {"perplexity/top", "perplexity/bottom"}
    for name in ("top", "bottom"):
        before, after = variables["codebook"][name]["vectors"], changed["codebook"][name]["vectors"]
        assert np.any(before != after), name


def test_other_sides_are_refused_with_the_multiple(variables):
    with pytest.raises(UserError, match="multiples of 8"):
        CODEC.apply(variables, jnp.asarray(IMAGES[:, 4:]), method="encode")
