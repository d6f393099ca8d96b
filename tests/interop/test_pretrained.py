"""Public folders without PyTorch: layouts that are read, what is refused, the verb."""

import json
import pickle

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from mmjax.cli.main import main
from mmjax.codecs.kl import AutoencoderKL
from mmjax.errors import UserError
from mmjax.interop import load_pretrained, save_pretrained
from mmjax.interop.module_folder import load_module
from mmjax.tree import flatten

MODULE = AutoencoderKL(channels=1, widths=(4, 8), blocks=1, latents=2, groups=2)
WEIGHTS, INDEX = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index"


@pytest.fixture(scope="module")
def variables():
    shapes = jax.eval_shape(MODULE.init, jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    return jax.tree.map(
        lambda leaf: np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), shapes
    )


@pytest.fixture
def folder(variables, tmp_path):
    """A folder with a tensor that has no role, a type that is not float32, and other fields."""
    save_pretrained(MODULE, variables, tmp_path / "vae")
    change(tmp_path / "vae", count=np.array(2**40, np.int64))
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    config |= {"scaling_factor": 0.5, "_diffusers_version": "0.42.1"}
    (tmp_path / "vae" / "config.json").write_text(json.dumps(config))
    return tmp_path / "vae"


def change(folder, **tensors):
    tensors = safetensors.numpy.load_file(folder / WEIGHTS) | tensors
    safetensors.numpy.save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def contents(folder):
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= safetensors.numpy.load_file(path)
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.items()}


def test_what_has_no_role_comes_back(folder, tmp_path):
    module, variables = load_pretrained(folder)
    assert module == MODULE and variables["extras"]["count"] == 2**40
    half = {"decoder.conv_in.bias": np.ones(8, np.float16)}
    half["decoder.conv_out.bias"] = np.ones(1, ml_dtypes.bfloat16)
    change(folder, **half)
    module, variables = load_pretrained(folder)
    save_pretrained(module, variables, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    texts = [(path / "config.json").read_bytes() for path in (folder, tmp_path / "again")]
    assert texts[0] == texts[1]


def test_shards_are_written_and_read(folder, variables, tmp_path):
    before = contents(folder)
    module, variables = load_pretrained(folder)
    save_pretrained(module, variables, folder, shard_bytes=2_000)
    assert len(list(folder.glob("*-of-*.safetensors"))) > 2 and not (folder / WEIGHTS).exists()
    assert contents(folder) == before
    _, again = load_pretrained(folder)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, variables, again)))
    save_pretrained(module, variables, folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", WEIGHTS}


def test_a_single_file_is_read(folder):
    expected = flatten(load_pretrained(folder)[1])
    (folder / WEIGHTS).rename(folder / "vae.fp32.safetensors")
    for path in (folder, folder / "vae.fp32.safetensors"):
        found = flatten(load_pretrained(path)[1])
        assert all(np.array_equal(found[name], array) for name, array in expected.items())


def cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:50])


def pickled(folder):
    (folder / WEIGHTS).write_bytes(pickle.dumps({"encoder.conv_in.weight": 1}))


def other_file(folder):
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")


def lose_shard(folder):
    module, variables = load_pretrained(folder)
    save_pretrained(module, variables, folder, shard_bytes=2_000)
    sorted(folder.glob("*-of-*.safetensors"))[1].unlink()


def escape(folder):
    content = {"weight_map": {"encoder.conv_in.weight": "../elsewhere.safetensors"}}
    (folder / f"{INDEX}.json").write_text(json.dumps(content))


def edit(**fields):
    def change_config(folder):
        config = json.loads((folder / "config.json").read_text()) | fields
        (folder / "config.json").write_text(json.dumps(config))

    return change_config


DAMAGES = {
    "no whole safetensors file": cut,
    "or a pickle": pickled,
    "only pickled weights": other_file,
    "the shard is missing": lose_shard,
    "is no file beside it": escape,
    r"'quant_conv.bias' has shape \(3,\)": lambda folder: change(
        folder, **{"quant_conv.bias": np.zeros(3, np.float32)}
    ),
    "missing keys: decoder.up_blocks.0.resnets.2": edit(layers_per_block=2),
    "'AutoencoderKLM' is not known; did you mean 'AutoencoderKL'": edit(
        _class_name="AutoencoderKLM"
    ),
    "act_fn 'relu' is not supported": edit(act_fn="relu"),
    "names no class": edit(_class_name=None),
    "holds no config.json": lambda folder: (folder / "config.json").unlink(),
    "cannot be read as JSON": lambda folder: (folder / "config.json").write_text("{"),
}


@pytest.mark.parametrize("said", DAMAGES)
def test_what_is_refused_in_one_line(said, folder):
    DAMAGES[said](folder)
    with pytest.raises(UserError, match=said) as caught:
        load_pretrained(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_the_verb_imports_and_exports(folder, tmp_path, capsys):
    flags = ["weights", "import", str(folder), "--to", str(tmp_path / "ours")]
    assert main(flags) == 0
    said = capsys.readouterr().out
    assert "missing keys: none" in said and "unexpected keys: 1, carried along: count" in said
    module, variables = load_module(tmp_path / "ours")
    assert module == MODULE and variables["extras"]["count"] == 2**40
    flags = ["--weights", str(tmp_path / "ours"), "--to", str(tmp_path / "public")]
    assert main(["weights", "export", *flags]) == 0
    assert contents(tmp_path / "public") == contents(folder)


def test_the_verb_imports_the_known_parts_of_a_pipeline(folder, tmp_path, capsys):
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "Other"}')
    assert main(["weights", "import", str(tmp_path), "--to", str(tmp_path / "ours")]) == 0
    assert "left out, for their classes are not known: unet" in capsys.readouterr().out
    assert load_module(tmp_path / "ours" / "vae")[0] == MODULE
    with pytest.raises(UserError, match="is a pipeline; give one of its folders: unet, vae"):
        load_pretrained(tmp_path)
