"""What parity tests share: public references on PyTorch, and how near to them is near enough.

The references are an extra (``pip install mmjax[parity]``). Where they are not installed these
tests skip; with ``CI=true`` or ``MMJAX_REQUIRE_PARITY=1`` they fail instead.
"""

import importlib
import os
import sys
import warnings

import jax
import numpy as np
import pytest


def _reference(name):
    """Imports a reference library, or skips (or, where parity is required, fails) by its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        reason = f"{name} is not installed ({error}); pip install 'mmjax[parity]'"
        if os.environ.get("CI") == "true" or os.environ.get("MMJAX_REQUIRE_PARITY") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def pytest_fixture_setup():
    """References are drawn alike in any order of the tests: a tie of codes is found once, or never.

    A seed in each test would come after the fixtures that hold the references.
    """
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, on one thread per test process."""
    library = _reference("torch")
    library.set_num_threads(1)
    return library


@pytest.fixture(scope="session")
def diffusers(torch):
    """The diffusers library."""
    return _reference("diffusers")


@pytest.fixture(scope="session")
def transformers(torch):
    """The transformers library."""
    return _reference("transformers")


@pytest.fixture(autouse=True)
def exact_products():
    """float32 products in float32 on every backend."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="session")
def randomise(torch):
    """Fills parameters that start constant (gates, biases, scales) with noise; returns the module.

    Left at 0 or 1 they would hide a wrong wiring behind them.
    """

    def randomise(module, seed=0):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.numel() == 1 or bool(parameter.std() == 0):
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return module.eval()

    return randomise


@pytest.fixture
def state_of():
    """The state dict of a PyTorch module, or the gradients of its parameters, as NumPy arrays."""

    def state_of(module, gradients=False):
        if gradients:
            return {name: p.grad.numpy() for name, p in module.named_parameters()}
        return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}

    return state_of


@pytest.fixture
def assert_near():
    """Asserts that the largest error is below ``tolerance`` of the reference output's spread."""

    def assert_near(found, expected, tolerance=1e-4):
        found, expected = np.asarray(found), np.asarray(expected)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance * expected.std()

    return assert_near


@pytest.fixture
def assert_same_gradients():
    """Asserts that every gradient array is within ``tolerance`` of the reference's, in norm.

    Gradients below a thousandth of the largest are compared on that scale: some vanish
    in exact arithmetic, such as that of a key bias under the softmax.
    """

    def assert_same_gradients(found, expected, tolerance=1e-3):
        assert found.keys() == expected.keys()
        floor = 1e-3 * max(np.linalg.norm(array) for array in expected.values())
        for name, array in expected.items():
            error = np.linalg.norm(found[name] - array)
            assert error <= tolerance * max(np.linalg.norm(array), floor), name

    return assert_same_gradients
