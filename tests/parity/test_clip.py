"""CLIP's towers against transformers: embeddings, logits, gradients, and weights both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop.clip import export_clip, import_clip
from mmjax.models.towers import ImageTower, TextTower, Towers
from mmjax.streams import Stream

pytestmark = pytest.mark.parity

LENGTH, END = 7, 29
MODULE = Towers(
    {
        "image": ImageTower(features=12, patch=4, width=24, depth=3, heads=4),
        "text": TextTower(features=12, vocabulary=30, width=16, depth=2, heads=2),
    }
)
IMAGES = np.random.default_rng(0).normal(size=(4, 12, 12, 3)).astype(np.float32)
IDS = np.random.default_rng(1).integers(0, END, (4, LENGTH))
for row, end in enumerate((6, 2, 4, 1)):
    IDS[row, end:] = END  # as in CLIP, the end mark also pads


@pytest.fixture
def reference(transformers, randomise):
    image, text = MODULE.towers["image"], MODULE.towers["text"]
    config = transformers.CLIPConfig(
        projection_dim=image.features,
        vision_config={
            "hidden_size": image.width,
            "intermediate_size": 4 * image.width,
            "num_hidden_layers": image.depth,
            "num_attention_heads": image.heads,
            "image_size": IMAGES.shape[1],
            "patch_size": image.patch,
        },
        text_config={
            "hidden_size": text.width,
            "intermediate_size": 4 * text.width,
            "num_hidden_layers": text.depth,
            "num_attention_heads": text.heads,
            "vocab_size": text.vocabulary,
            "max_position_embeddings": LENGTH,
            "eos_token_id": END,
            "bos_token_id": 0,
            "pad_token_id": END,
        },
    )
    assert config.text_config.hidden_act == "quick_gelu"
    return randomise(transformers.CLIPModel(config))


def stream(values, mask):
    positions = jnp.zeros((*mask.shape, mask.ndim - 1))
    return Stream(jnp.asarray(values), jnp.zeros(len(values)), jnp.asarray(mask), positions)


def streams():
    shown = np.cumsum(IDS == END, axis=1) <= 1  # up to and with the first end mark
    return {
        "image": stream(IMAGES, np.ones(IMAGES.shape[:3], bool)),
        "text": stream(IDS.astype(np.int32), shown),
    }


def outputs(torch, reference):
    images = torch.from_numpy(np.moveaxis(IMAGES, -1, 1).copy())
    return reference(pixel_values=images, input_ids=torch.from_numpy(IDS))


def test_embeddings_and_logits(torch, reference, state_of, assert_near):
    variables = {"params": jax.tree.map(jnp.asarray, import_clip(MODULE, state_of(reference)))}
    embeddings, log_scale = MODULE.apply(variables, streams())
    with torch.no_grad():
        expected = outputs(torch, reference)
    assert_near(embeddings["image"], expected.image_embeds)
    assert_near(embeddings["text"], expected.text_embeds)
    logits = jnp.exp(log_scale) * embeddings["image"] @ embeddings["text"].T
    assert_near(logits, expected.logits_per_image)


def test_gradients(torch, reference, state_of, assert_same_gradients):
    params = import_clip(MODULE, state_of(reference))
    weights = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    (outputs(torch, reference).logits_per_image * torch.from_numpy(weights)).sum().backward()

    def loss(params):
        embeddings, log_scale = MODULE.apply({"params": params}, streams())
        return jnp.exp(log_scale) * jnp.sum(weights * (embeddings["image"] @ embeddings["text"].T))

    found = export_clip(MODULE, jax.jit(jax.grad(loss))(params))
    assert_same_gradients(found, state_of(reference, gradients=True))


def test_weights_return_unchanged(reference, state_of):
    state = state_of(reference)
    older = state | {"text_model.embeddings.position_ids": np.arange(LENGTH)[None]}
    found = export_clip(MODULE, import_clip(MODULE, older))
    assert found.keys() == state.keys()
    assert [name for name, array in state.items() if not np.array_equal(found[name], array)] == []


def test_keys_that_do_not_fit_are_named(reference, state_of):
    state = state_of(reference)
    del state["logit_scale"]
    with pytest.raises(UserError, match="missing keys: logit_scale"):
        import_clip(MODULE, state)
    with pytest.raises(UserError, match="missing keys: logit_scale"):
        import_clip(MODULE, {})
