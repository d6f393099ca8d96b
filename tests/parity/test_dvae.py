"""The encoder of DALL-E's discrete VAE against transformers' FlavaImageCodebook."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.dvae import DVAEEncoder
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, first, last, save

pytestmark = pytest.mark.parity

CONFIGS = {
    "two blocks": {"hidden_size": 8, "vocab_size": 24},
    "one block": {
        "hidden_size": 4, "vocab_size": 16, "num_blocks_per_group": 1, "input_channels": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, torch, transformers, tmp_path_factory):
    """The module, its variables, the reference, its folder, and images."""
    torch.manual_seed(0)
    config = transformers.FlavaImageCodebookConfig(**CONFIGS[request.param])
    reference = transformers.FlavaImageCodebook(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.requires_grad_(True)
            if parameter.ndim == 4:  # wide enough for the faint branches to be seen
                parameter.normal_(0, 2 * parameter[0].numel() ** -0.5)
            else:
                parameter.normal_(0, 0.1)
    shape = (2, 3 * 8, 5 * 8, config.input_channels)
    images = np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)
    with torch.no_grad():  # no code is likelier than others
        out = reference.blocks.output.conv
        out.bias.sub_(reference.blocks(first(images)).mean((0, 2, 3)))
    folder = save(reference, tmp_path_factory.mktemp("dvae"))
    return *load_pretrained(folder), reference, folder, images


def test_codes(torch, case, assert_near):
    module, variables, reference, _, images = case
    with torch.no_grad():
        logits = last(reference.blocks(first(images)))
        codes = reference.get_codebook_indices(first(images)).numpy()
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, images)
    assert_near(found.mean, logits)
    two = np.sort(logits, axis=-1)
    clear = two[..., -1] - two[..., -2] >= 1e-5
    np.testing.assert_array_equal(found.codes[clear], codes[clear])
    assert clear.mean() > 0.9 and len(np.unique(codes)) >= 8 and logits.std() >= 0.1
    assert found.codes.shape[1:] == module.grid(images.shape[1:]) == (3, 5)


def test_gradients(case, assert_same_gradients):
    module, variables, reference, _, images = case
    weights = np.random.default_rng(1).normal(size=(2, 3, 5, module.vocabulary))
    pixels = first(images).requires_grad_()
    (reference.blocks(pixels) * first(np.float32(weights))).sum().backward()

    def loss(images):
        return jnp.sum(module.apply(variables, images, method="encode").mean * weights)

    found = jax.jit(jax.grad(loss))(images)
    assert_same_gradients({"input": found}, {"input": last(pixels.grad)})


def test_weights_return_unchanged(case, tmp_path):
    assert_round_trip(case[3], tmp_path, type(case[2]))


def test_other_sides_are_refused_with_the_multiple(case):
    module, variables, _, _, images = case
    with pytest.raises(UserError, match="multiples of 8"):
        module.apply(variables, jnp.asarray(images[:, 1:]), method="encode")


def test_published_size():
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(DVAEEncoder().init, jax.random.key(0), images)
    assert tree.count(shapes["params"]) == 53_786_240
