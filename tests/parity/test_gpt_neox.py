"""The trunk as a language model against transformers' GPT-NeoX: logits, gradients, generation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop.gpt_neox import export_gpt_neox, import_gpt_neox
from mmjax.layers.positions import Rotary
from mmjax.models.transformer import Transformer
from mmjax.objectives.base import Context
from mmjax.objectives.model import NetworkModel
from mmjax.processes.next_token import NextToken
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.autoregressive import Autoregressive
from mmjax.samplers.base import scan
from mmjax.streams import StreamSpec

pytestmark = pytest.mark.parity
WIDTH, DEPTH, HEADS, CODES, LENGTH, BEGIN = 32, 3, 4, 11, 14, 1


def build(depth=DEPTH):
    places = np.arange(LENGTH, dtype=np.float32)[:, None]
    spec = StreamSpec(
        "text", "text", (LENGTH,), None, CODES, ("index",), places, process=NextToken(BEGIN)
    )
    return Transformer(
        {"text": spec}, WIDTH, depth, HEADS,
        modulation="none", activation="gelu", attention={"text": "causal"},
        rope=Rotary(("index",), (4,), (1.0,)),  # half of a head's channels turn
    )  # fmt: skip


@pytest.fixture
def reference(torch, transformers, randomise):
    torch.manual_seed(0)
    config = transformers.GPTNeoXConfig(
        vocab_size=CODES, hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH, max_position_embeddings=32, use_parallel_residual=False,
        layer_norm_eps=1e-6, initializer_range=0.2, tie_word_embeddings=False,
        rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
        },
        bos_token_id=BEGIN, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return randomise(transformers.GPTNeoXForCausalLM(config))


@pytest.fixture
def codes():
    return np.random.default_rng(0).integers(0, CODES, (3, LENGTH))


def logits(module, params, codes):
    stream = module.streams["text"].make(jnp.asarray(codes, jnp.int32))
    return module.apply({"params": params}, {"text": stream})["text"].values


def test_logits(torch, reference, state_of, codes, assert_near):
    module = build()
    params = import_gpt_neox(module, state_of(reference))
    with torch.no_grad():
        expected = reference(torch.from_numpy(codes)).logits
    assert_near(jax.jit(lambda p: logits(module, p, codes))(params), expected)


def test_gradients_of_the_loss(torch, reference, state_of, codes, assert_same_gradients):
    """The reference shifts its targets by one, the process its inputs: the same pairs."""
    module, process = build(), NextToken(BEGIN)
    params = import_gpt_neox(module, state_of(reference))
    read = np.concatenate([np.full((3, 1), BEGIN), codes], axis=1)
    ids = torch.from_numpy(read)
    expected = reference(ids, labels=ids).loss
    expected.backward()
    targets = jnp.asarray(codes, jnp.int32)

    def loss(params):
        predicted = logits(module, params, process.shift(targets))
        return jnp.mean(process.loss(predicted, targets, jnp.zeros(3)))

    found, gradients = jax.jit(jax.value_and_grad(loss))(params)
    assert float(found) == pytest.approx(expected.item(), rel=1e-5)
    gradients["output_text"]["linear"]["bias"] *= 0  # which the reference lacks
    found = export_gpt_neox(module, gradients)
    assert_same_gradients(found, state_of(reference, gradients=True))


@pytest.mark.parametrize("prompt", [0, 5])
def test_greedy_generation(torch, reference, state_of, codes, prompt):
    module = build()
    params = {"denoiser": import_gpt_neox(module, state_of(reference))}
    model = NetworkModel(Context({"denoiser": module}, params, params, {}), "denoiser")
    specs = module.streams
    known = specs["text"].make(jnp.asarray(codes, jnp.int32))
    known = known.replace(mask=known.mask & (jnp.arange(LENGTH) < prompt))
    streams = begin(specs, {"text": known}, ("text",), 3, jax.random.key(0))
    sampler = Autoregressive(temperature=0.0, chunk=2)
    sample = jax.jit(lambda s: scan(sampler, model, specs, s, ("text",), jax.random.key(0)))
    start = np.concatenate([np.full((3, 1), BEGIN), codes[:, :prompt]], axis=1)
    expected = reference.generate(
        torch.from_numpy(start), attention_mask=torch.ones(start.shape, dtype=torch.int64),
        max_new_tokens=LENGTH - prompt, do_sample=False,
    )  # fmt: skip
    found = np.asarray(sample(streams)["text"].values)
    np.testing.assert_array_equal(found, expected[:, 1:])
    assert len(np.unique(found[:, prompt:])) > 2


def test_weights_return_unchanged(reference, state_of):
    module, state = build(), state_of(reference)
    older = state | {"gpt_neox.layers.0.attention.rotary_emb.inv_freq": np.ones(2)}
    older["embed_out.weight"] = older.pop("lm_head.weight")
    found = export_gpt_neox(module, import_gpt_neox(module, older))
    assert found.keys() == state.keys()
    assert [name for name, array in state.items() if not np.array_equal(found[name], array)] == []


def test_what_does_not_fit_is_refused(reference, state_of):
    module, state = build(), state_of(reference)
    with pytest.raises(UserError, match="unexpected keys: gpt_neox.layers.2"):
        import_gpt_neox(build(depth=2), state)
    missing = {name: array for name, array in state.items() if "0.attention" not in name}
    with pytest.raises(UserError, match="missing keys: .*layers.0.attention.query_key_value.bias"):
        import_gpt_neox(module, missing)
    params = import_gpt_neox(module, state)
    params["output_text"]["linear"]["bias"] += 1.0
    with pytest.raises(UserError, match="no place"):
        export_gpt_neox(module, params)
