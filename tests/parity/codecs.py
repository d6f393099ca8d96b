"""What the parity tests of codecs share: layouts, folders, and weights that go and come back."""

import json
import pathlib
import warnings

import numpy as np
import safetensors

from mmjax.interop import load_pretrained, save_pretrained
from mmjax.interop.architecture import class_name
from mmjax.interop.module_folder import load_module, save_module


def first(array):
    """A channels-last array as a PyTorch tensor with channels first."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(array), -1, 1)))


def last(tensor):
    """A PyTorch tensor with channels first as a channels-last array."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def pull(module):
    """The state dict as NumPy arrays."""
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def save(reference, folder):
    """What the reference's own ``save_pretrained`` writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.save_pretrained(folder)
    return pathlib.Path(folder)


def stored(folder):
    """Names, types, shapes and bytes of every tensor of a folder."""
    found = {}
    for path in folder.glob("*.safetensors"):
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        found |= {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
    return found


def assert_round_trip(folder, scratch, public=None):
    """Import, export, import: the same module, config and bytes; also from the module alone.

    ``public``, the reference's class, reads what the module alone writes, and finds its tensors.
    """
    module, variables = load_pretrained(folder)
    save_pretrained(module, variables, scratch / "export")
    assert stored(scratch / "export") == stored(folder) != {}
    configs = [json.loads((f / "config.json").read_text()) for f in (folder, scratch / "export")]
    assert configs[1] == configs[0]
    name = class_name(configs[0], "")
    del variables["extras"]
    save_pretrained(module, variables, scratch / "own", architecture=name)
    assert load_pretrained(scratch / "own")[0] == module
    assert stored(scratch / "own").items() <= stored(folder).items()
    save_module(module, variables, scratch / "ours")  # what ``mmjax weights import`` writes
    assert load_module(scratch / "ours")[0] == module
    if public:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = public.from_pretrained(scratch / "own")
        written = stored(save(again, scratch / "again"))
        assert written.items() >= stored(scratch / "own").items()
