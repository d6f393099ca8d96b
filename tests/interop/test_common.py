"""Tables of weights: layouts, stacks, and what is said when keys or shapes do not fit."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop.common import Weight, affine, export_weights, import_weights, scale_shift
from mmjax.tree import flatten

TABLE = [
    *affine("conv", "conv"),
    *(w for i in range(2) for w in affine(f"blocks.{i}.out", "stack/out", layer=i, bias=False)),
    *scale_shift("norm", "norm"),
    Weight("temperature", "temperature"),
]
LIKE = jax.eval_shape(
    lambda: {
        "conv": {"kernel": np.zeros((3, 3, 2, 5), np.float32), "bias": np.zeros(5, np.float32)},
        "stack": {"out": {"kernel": np.zeros((2, 4, 6), np.float32)}},
        "norm": {"scale": np.zeros(7, np.float32), "bias": np.zeros(7, np.float32)},
        "temperature": np.zeros((), np.float32),
    }
)


def public_state():
    shapes = {"conv.weight": (5, 2, 3, 3), "conv.bias": (5,), "norm.weight": (7,)}
    shapes |= {"norm.bias": (7,), "blocks.0.out.weight": (6, 4), "blocks.1.out.weight": (6, 4)}
    shapes |= {"temperature": ()}
    rng = np.random.default_rng(0)
    return {name: np.float32(rng.normal(size=shape)) for name, shape in shapes.items()}


def test_import_transposes_and_stacks():
    state = public_state()
    params = import_weights(TABLE, state, LIKE)
    assert params["conv"]["kernel"][1, 2, 0, 4] == state["conv.weight"][4, 0, 1, 2]
    np.testing.assert_array_equal(
        params["stack"]["out"]["kernel"][1], state["blocks.1.out.weight"].T
    )
    assert {k: v.shape for k, v in flatten(params).items()} == {
        k: v.shape for k, v in flatten(LIKE).items()
    }


def test_export_is_the_inverse():
    state = public_state()
    found = export_weights(TABLE, import_weights(TABLE, state, LIKE))
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert found[name].shape == array.shape and np.array_equal(found[name], array)


def test_missing_and_unexpected_keys_are_named():
    state = public_state()
    state["conv.extra"] = state.pop("conv.bias")
    with pytest.raises(UserError, match="1 missing keys: conv.bias; 1 unexpected keys: conv.extra"):
        import_weights(TABLE, state, LIKE)


def test_a_wrong_shape_is_named():
    state = public_state()
    state["norm.bias"] = np.zeros(8, np.float32)
    with pytest.raises(UserError, match=r"'norm.bias' has shape \(8,\).*'norm/bias'"):
        import_weights(TABLE, state, LIKE)


def test_a_table_that_leaves_parameters_out_is_a_defect():
    with pytest.raises(ValueError, match="norm"):
        import_weights(TABLE[:4], {w.public: public_state()[w.public] for w in TABLE[:4]}, LIKE)
