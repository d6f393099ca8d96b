"""DiT against diffusers: output, every gradient, weights both ways, the published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop.dit import export_dit, import_dit
from mmjax.layers.embedding import Clock
from mmjax.layers.positions import SinCos
from mmjax.modalities.label import Label
from mmjax.models.transformer import Transformer
from mmjax.processes.clean import Clean
from mmjax.processes.gaussian import Gaussian
from mmjax.streams import StreamSpec
from mmjax.tree import count
from tests.tiny import load

pytestmark = pytest.mark.parity

SIDE, PATCH, CLASSES, STEPS = 8, 2, 5, 1000.0


def build(width=32, depth=3, heads=4, side=SIDE):
    """DiT on latents of ``side`` cells, eight pixels each."""
    centres = (np.arange(side) + 0.5) * 8
    places = np.stack(np.meshgrid(centres, centres, indexing="ij"), -1).astype(np.float32)
    label = Label(CLASSES)
    streams = {
        "image": StreamSpec(
            "image", "image", (side, side), 4, None, ("height", "width"), places, process=Gaussian()
        ),
        "label": StreamSpec(
            "label", "label", (), None, CLASSES, label.axes, label.positions(()), process=Clean()
        ),
    }
    return Transformer(
        streams,
        width,
        depth,
        heads,
        patch={"image": (PATCH, PATCH)},
        outputs={"image": 8},
        pooled=("label",),
        clock=Clock(scale=STEPS, offset=-1.0, shift=1.0),
        absolute=SinCos(("width", "height"), (8.0 * PATCH,) * 2, origin=0.5),
    )


@pytest.fixture
def reference(diffusers, randomise):
    module = build()
    reference = diffusers.DiTTransformer2DModel(
        num_attention_heads=module.heads,
        attention_head_dim=module.width // module.heads,
        in_channels=4,
        out_channels=8,
        num_layers=module.depth,
        sample_size=SIDE,
        patch_size=PATCH,
        num_embeds_ada_norm=CLASSES,
        norm_eps=1e-6,
    )
    for block in reference.transformer_blocks:  # as in published weights
        block.norm1.emb = reference.transformer_blocks[0].norm1.emb
    return randomise(reference)


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(3, SIDE, SIDE, 4)).astype(np.float32),
        "step": np.array([0, 417, 999]),
        "label": np.array([1, CLASSES, 3]),  # the second has none
    }


def reference_output(torch, reference, inputs):
    image = torch.from_numpy(inputs["image"].transpose(0, 3, 1, 2).copy())
    step, label = (torch.from_numpy(inputs[name]) for name in ("step", "label"))
    return reference(image, timestep=step, class_labels=label).sample.permute(0, 2, 3, 1)


def streams_of(module, inputs):
    known = jnp.asarray(inputs["label"] < CLASSES)
    label = jnp.asarray(np.minimum(inputs["label"], CLASSES - 1), jnp.int32)
    time = jnp.asarray((inputs["step"] + 1) / STEPS, jnp.float32)
    return {
        "image": module.streams["image"].make(jnp.asarray(inputs["image"]), time=time),
        "label": module.streams["label"].make(label, mask=known),
    }


def test_output(torch, reference, state_of, inputs, assert_near):
    module = build()
    variables = {"params": import_dit(module, state_of(reference))}
    with torch.no_grad():
        expected = reference_output(torch, reference, inputs)
    found = jax.jit(module.apply)(variables, streams_of(module, inputs))["image"].values
    assert_near(found, expected)


def test_gradients(torch, reference, state_of, inputs, assert_same_gradients):
    module = build()
    params = import_dit(module, state_of(reference))
    weights = np.random.default_rng(1).normal(size=(3, SIDE, SIDE, 8)).astype(np.float32)
    (reference_output(torch, reference, inputs) * torch.from_numpy(weights)).sum().backward()

    def loss(params):
        out = module.apply({"params": params}, streams_of(module, inputs))
        return jnp.sum(out["image"].values * weights)

    expected = state_of(reference, gradients=True)  # of shared parameters once, under block 0
    found = export_dit(module, jax.jit(jax.grad(loss))(params))
    assert_same_gradients({name: found[name] for name in expected}, expected)


def test_weights_return_unchanged(reference, state_of):
    module, state = build(), state_of(reference)
    found = export_dit(module, import_dit(module, state))
    assert found.keys() == state.keys()
    assert [name for name, array in state.items() if not np.array_equal(found[name], array)] == []


def test_blocks_with_their_own_embeddings_are_refused(reference, state_of):
    state = state_of(reference)
    name = "transformer_blocks.2.norm1.emb.timestep_embedder.linear_1.bias"
    with pytest.raises(UserError, match="differs from block 0's"):
        import_dit(build(), state | {name: state[name] + 1})


def test_another_depth_is_refused_by_key(reference, state_of):
    with pytest.raises(UserError, match="unexpected keys: transformer_blocks.2"):
        import_dit(build(depth=2), state_of(reference))


@pytest.mark.parametrize("variant", ["S/8", "XL/2"])
def test_published_sizes(torch, diffusers, variant):
    """As many parameters as the reference, which counts the embeddings once a block."""
    module = load("image/dit", variant).networks["denoiser"].clone(outputs={"image": 8})
    with torch.device("meta"):
        reference = diffusers.DiTTransformer2DModel(
            num_attention_heads=module.heads,
            attention_head_dim=module.width // module.heads,
            num_layers=module.depth,
            patch_size=module.patch["image"][0],
            out_channels=8,
        )
    sizes = {name: parameter.numel() for name, parameter in reference.named_parameters()}
    expected = sum(n for name, n in sizes.items() if ".emb." not in name or ".0.norm1" in name)
    zeros = {"image": jnp.zeros((1, 32, 32, 4)), "label": jnp.zeros((1,), jnp.int32)}
    streams = {name: module.streams[name].make(zeros[name]) for name in zeros}
    found = count(jax.eval_shape(module.init, jax.random.key(0), streams)["params"])
    assert found == expected
    if variant == "XL/2":
        assert found == 674_834_720  # the paper's 675 M less the fixed positions
