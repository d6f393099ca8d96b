"""AutoencoderKL against diffusers: moments, reconstruction, gradients, weights both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.kl import AutoencoderKL
from mmjax.errors import UserError
from mmjax.interop.kl import export_kl, import_kl

pytestmark = pytest.mark.parity

MODULE = AutoencoderKL(channels=3, widths=(8, 16, 16), blocks=2, latents=4, groups=4)


@pytest.fixture
def reference(diffusers, randomise):
    levels = len(MODULE.widths)
    return randomise(
        diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=MODULE.widths,
            layers_per_block=MODULE.blocks,
            latent_channels=MODULE.latents,
            norm_num_groups=MODULE.groups,
        )
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)


def first(array):
    """Channels first."""
    return np.moveaxis(np.asarray(array), -1, 1)


def test_moments_and_reconstruction(torch, reference, state_of, images, assert_near):
    variables = {"params": import_kl(MODULE, state_of(reference))}
    with torch.no_grad():
        posterior = reference.encode(torch.from_numpy(first(images))).latent_dist
        expected = reference.decode(posterior.mean).sample
    found = MODULE.apply(variables, jnp.asarray(images), method="encode")
    assert_near(first(found.mean), posterior.mean)
    assert_near(first(found.logvar), posterior.logvar)
    assert_near(first(found.divergence()).sum((1, 2, 3)), posterior.kl())
    latents = jnp.moveaxis(jnp.asarray(posterior.mean.numpy()), 1, -1)
    assert_near(first(MODULE.apply(variables, latents, method="decode")), expected)


def test_gradients(torch, reference, state_of, images, assert_same_gradients):
    params = import_kl(MODULE, state_of(reference))
    weights = np.random.default_rng(1).normal(size=images.shape).astype(np.float32)
    output = reference.decode(reference.encode(torch.from_numpy(first(images))).latent_dist.mean)
    # The mean alone would leave the half of the moments' kernel that gives the variance unread.
    spread = reference.encode(torch.from_numpy(first(images))).latent_dist.logvar.sum()
    ((output.sample * torch.from_numpy(first(weights))).sum() + spread).backward()

    def loss(params):
        posterior = MODULE.apply({"params": params}, jnp.asarray(images), method="encode")
        output = MODULE.apply({"params": params}, posterior.mean, method="decode")
        return jnp.sum(output * weights) + jnp.sum(posterior.logvar)

    found = export_kl(MODULE, jax.jit(jax.grad(loss))(params))
    assert_same_gradients(found, state_of(reference, gradients=True))


def test_weights_return_unchanged(reference, state_of):
    state = state_of(reference)
    found = export_kl(MODULE, import_kl(MODULE, state))
    assert found.keys() == state.keys()
    assert [name for name, array in state.items() if not np.array_equal(found[name], array)] == []


def test_former_names_of_the_attention_are_read(reference, state_of):
    state = state_of(reference)
    former = {}
    for name, array in state.items():
        if ".attentions." in name and "group_norm" not in name:
            for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
                name = name.replace(f".{new}.", f".{old}.")
            name = name.replace(".to_out.0.", ".proj_attn.")
            array = array[:, :, None, None] if array.ndim == 2 else array
        former[name] = array
    assert former.keys() != state.keys()
    same = jax.tree.map(np.array_equal, import_kl(MODULE, former), import_kl(MODULE, state))
    assert all(jax.tree.leaves(same))


def test_another_size_is_refused_by_key(reference, state_of):
    with pytest.raises(UserError, match=r"unexpected keys: decoder.up_blocks.0.resnets.2"):
        import_kl(MODULE.clone(blocks=1), state_of(reference))
