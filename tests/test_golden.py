"""The first step of one config per family, to the digit, and that its loss falls.

``tests/golden.json`` holds what the first step of ``:tiny`` logs. It changes with the model, the
objective, the data and the order of random draws. Where such a change is meant, write the new
figures with ``MMJAX_UPDATE_GOLDEN=1 pytest tests/test_golden.py`` and say in the commit why.
"""

import json
import os
import pathlib

import pytest

from tests.tiny import logged, tiny

PATH = pathlib.Path(__file__).with_name("golden.json")
STEPS = 30
UPDATING = os.environ.get("MMJAX_UPDATE_GOLDEN") == "1"
FAMILIES = (
    "audio/encodec",
    "image/gan",
    "image/kl_vae",
    "image/vq_gan",
    "motion/motion_vq",
    "multimodal/mvae",
    "quickstart",
    "shape/vec_set",
    "text/gpt",
    "vl/clip",
)
SLOW = ("motion/motion_vq", "multimodal/mvae")  # those whose loss falls by 3 % in so few steps


def figures(name):
    """The loss and the gradient norm of each update at the first step."""
    updates = tiny(name)[0].updates
    first = logged(name, STEPS)[0]
    keys = [
        key for update in updates for key in (f"loss/{update}/total", f"gradient_norm/{update}")
    ]
    return {key: first[key] for key in keys}


@pytest.mark.parametrize("name", FAMILIES)
def test_first_step(name):
    golden = json.loads(PATH.read_text(encoding="utf-8"))
    found = figures(name)
    if UPDATING:
        golden[name] = {key: float(f"{value:.7g}") for key, value in found.items()}
        PATH.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == pytest.approx(golden[name], rel=1e-4), (
        f"The first step of configs/{name}.py:tiny gives other numbers than tests/golden.json. "
        "If the change that did it was meant to (model, objective, data, random draws), run "
        "MMJAX_UPDATE_GOLDEN=1 pytest tests/test_golden.py and say why in the commit; "
        "a refactoring must not change them."
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_loss_falls(name):
    """On one batch seen again and again; of several players, that of the first."""
    update = next(iter(tiny(name)[0].updates))
    losses = [line[f"loss/{update}/total"] for line in logged(name, STEPS)]
    # Times and noise differ from step to step, so means of some steps are compared.
    limit = 0.98 if name in SLOW else 0.95
    assert sum(losses[-5:]) < limit * sum(losses[:5])


def test_updating_is_never_on_by_accident():
    assert not (UPDATING and os.environ.get("CI")), "golden figures are not updated in CI"
