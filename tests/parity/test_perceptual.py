"""LPIPS against the same distance written with PyTorch's layers under the public names."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mmjax import config as configs
from mmjax import tree
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from mmjax.interop.module_folder import save_module
from mmjax.models.perceptual import PerceptualDistance
from mmjax.training.restore import abstract_state, without_data
from mmjax.training.system import build
from mmjax.training.weight_sources import open_source
from tests.parity.codecs import assert_round_trip, first, last, pull
from tests.tiny import FOLDER

pytestmark = pytest.mark.parity

WIDTHS, CONVOLUTIONS = (6, 8, 8, 10, 10), (2, 2, 3, 3, 3)
SLICES = (0, 4, 9, 16, 23, 30)  # where the package cuts torchvision's list of layers


@pytest.fixture(scope="module")
def layers(torch):
    """VGG16's list of layers, narrow, and the heads."""
    torch.manual_seed(0)
    found, before = [], 3
    for level, (width, count) in enumerate(zip(WIDTHS, CONVOLUTIONS, strict=True)):
        found += [torch.nn.MaxPool2d(2)] if level else []
        for _ in range(count):
            found += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
            before = width
    heads = [torch.nn.Conv2d(width, 1, 1, bias=False) for width in WIDTHS]
    with torch.no_grad():
        for parameter in torch.nn.Sequential(*found).parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (2.0 / parameter[0].numel()) ** 0.5)
            else:  # nowhere is nothing found: at such a place a length has no slope
                parameter.uniform_(0.2, 0.6)
        for head in heads:
            head.weight.uniform_(0, 1)
    return torch.nn.Sequential(*found), heads


@pytest.fixture(scope="module")
def folder(layers, tmp_path_factory):
    """A state dict of ``lpips.LPIPS(net="vgg")``, which names the heads twice."""
    trunk, heads = layers
    state = {
        "scaling_layer.shift": np.float32([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1),
        "scaling_layer.scale": np.float32([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1),
    }
    for name, array in pull(trunk).items():
        level = np.searchsorted(SLICES, int(name.split(".")[0]), side="right")
        state[f"net.slice{level}.{name}"] = array
    for level, head in enumerate(heads):
        state[f"lin{level}.model.1.weight"] = pull(head)["weight"]
        state[f"lins.{level}.model.1.weight"] = pull(head)["weight"]
    path = tmp_path_factory.mktemp("lpips")
    safetensors.numpy.save_file(state, path / "model.safetensors", {"format": "pt"})
    sizes = {"widths": WIDTHS, "convolutions": CONVOLUTIONS}
    text = json.dumps({"architectures": ["LPIPS"], "net": "vgg", **sizes})
    (path / "config.json").write_text(text, encoding="utf-8")
    return path


def distance(torch, layers, a, b):
    trunk, heads = layers
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    a, b, total = (a - shift) / scale, (b - shift) / scale, 0.0
    for head, start, end in zip(heads, SLICES, SLICES[1:], strict=False):
        a, b = trunk[start:end](a), trunk[start:end](b)
        units = [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
        total = total + head((units[0] - units[1]).square()).mean((1, 2, 3))
    return total


@pytest.mark.parametrize("channels", [3, 1])
def test_distance_and_gradient(torch, layers, folder, assert_same_gradients, channels):
    module, variables = load_pretrained(folder)
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 3, 35, 50, channels)).astype(np.float32)
    pixels = first(a).requires_grad_()
    expected = distance(torch, layers, pixels, first(b))
    expected.sum().backward()

    def total(a):
        found = module.apply({"params": variables["params"]}, a, jnp.asarray(b))
        return jnp.sum(found), found

    slope, found = jax.jit(jax.grad(total, has_aux=True))(jnp.asarray(a))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4)
    assert_same_gradients({"input": slope}, {"input": last(pixels.grad)})


def test_weights_return_unchanged(folder, tmp_path):
    assert_round_trip(folder, tmp_path)


def test_torchvisions_names_are_read_too(layers, folder, tmp_path):
    state = {f"features.{name}": array for name, array in pull(layers[0]).items()}
    state |= {f"lin{n}.model.1.weight": pull(head)["weight"] for n, head in enumerate(layers[1])}
    state["classifier.0.weight"] = np.zeros((2, 3), np.float32)
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    expected = tree.flatten(load_pretrained(folder)[1]["params"])
    found = tree.flatten(load_pretrained(tmp_path)[1]["params"])
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[path], array) for path, array in expected.items())


def test_a_run_begins_with_them(folder, tmp_path):
    """What VQ-GAN's config says of other weights, in the folder that ``weights import`` makes."""
    module, variables = load_pretrained(folder)
    save_module(module, variables, tmp_path / "lpips")
    config = configs.plain(configs.load(f"{FOLDER}/image/vq_gan.py"))
    config["networks"]["lpips"] |= {"widths": WIDTHS, "convolutions": CONVOLUTIONS}
    config["networks"]["autoencoder"] |= {"widths": (32,), "attention": ()}
    system = build(without_data(config))
    state = abstract_state(system)
    here = {**tree.flatten(state.params), **tree.flatten(state.mutable)}
    source = open_source(tmp_path / "lpips")
    found = system.init.assign(here, source.specs, source.name)
    expected = {f"lpips/{path}" for path in tree.flatten(variables["params"])}
    assert set(found.taken) == expected and not set(found.fresh) & expected
    assert "lpips" not in str(jax.tree.structure(state.opt)), "no update trains them"


def test_published_size():
    image = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    shapes = jax.eval_shape(PerceptualDistance().init, jax.random.key(0), image, image)
    assert tree.count(shapes["params"]) == 14_714_688 + 1_472


def test_other_pictures_are_refused():
    for shape in ((1, 15, 16, 3), (1, 16, 16, 2)):
        image = jnp.zeros(shape)
        with pytest.raises(UserError, match="takes 1 or 3 channels and at least 16x16 pixels"):
            PerceptualDistance().init(jax.random.key(0), image, image)
