"""Programs compiled for TPUs that are not here, and what is told of them."""

import concurrent.futures
import json
import math

import pytest
from PIL import Image

from mmjax import tree
from mmjax.cli.main import main
from mmjax.planning.choice import tokens
from mmjax.planning.process import plan
from mmjax.planning.show import table
from mmjax.training.restore import abstract_state
from tests.tiny import FOLDER, load

TOPOLOGY = "v5e:2x2"
# Three families' tiny forms, one with a text so long that attention runs by blocks.
LONG = ("modalities.text.length=8192", "codecs.bytes.length=8192")
PLANNED = {"image/gan": (), "quickstart": (), "text/decoder": LONG}
SWEPT, BLOCKS = "image/gan", "text/decoder"
USES = ("parameters", "optimiser", "average", "other", "padding", "activations", "temporaries")


@pytest.fixture(scope="module")
def plans():
    """The plan of each."""

    def one(name):
        choice = {
            "config": f"{FOLDER}/{name}.py:tiny", "overrides": PLANNED[name],
            "topology": TOPOLOGY, "mesh": {"data": 2, "fsdp": 2},
        }  # fmt: skip
        return plan(choice, sweep=2 if name == SWEPT else 0)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(PLANNED, pool.map(one, PLANNED), strict=True))


@pytest.mark.parametrize("name", PLANNED)
def test_the_training_and_the_sampling_step_are_planned(name, plans):
    (found,) = plans[name]["plans"]
    assert (found["sample"] is None) == (name == "image/gan")  # it declares no generative stream
    for program in filter(None, (found["train"], found["sample"])):
        memory = program["memory"]
        assert program["fits"] and memory["needed"] < memory["limit"]
        assert memory["needed"] == sum(memory[use] for use in (*USES, "code"))
        assert all(memory[use] >= 0 for use in USES)
        assert program["flops"] > 0 and program["bound"]["seconds"] > 0
    assert 0 < found["rates"]["mfu"] < 1
    assert found["train"]["exchanged"]["all-reduce"]["fast_bytes"] > 0
    assert plans[name]["host"]["peak_bytes"] < 20 * 2**30


@pytest.mark.parametrize("name", PLANNED)
def test_parameter_bytes_are_those_of_the_count(name, plans):
    (found,) = plans[name]["plans"]
    count = tree.count(abstract_state(load(name, "tiny")).params)
    assert found["parameters"] == count
    # cut into halves, apart from those too small for it
    assert 4 * count / 2 <= found["train"]["memory"]["parameters"] <= 4 * count


def test_attention_by_blocks_holds_no_weights_of_all_pairs(plans):
    memory = plans[BLOCKS]["plans"][0]["train"]["memory"]
    weights = 4 * (8 // 4) * 4 * 8192**2  # of 2 examples on each device, 4 heads
    assert memory["activations"] + memory["temporaries"] < 0.05 * memory["limit"] < weights


def test_nothing_is_recomputed_without_blocks(plans):
    for name in set(PLANNED) - {BLOCKS}:
        (found,) = plans[name]["plans"]
        assert found["train"]["flops"] == found["model_flops"]


def test_a_sweep_ranks_what_was_tried(plans):
    (found,) = plans[SWEPT]["plans"]
    rows = found["sweep"]
    assert 1 < len(rows) <= 2 and len({row["arguments"] for row in rows}) == len(rows)
    assert all(math.prod(row["mesh"].values()) == 4 and row["fits"] for row in rows)
    speeds = [row["examples_per_second"] for row in rows]
    assert speeds == sorted(speeds, reverse=True)
    assert "examples/s" in table(found)


def test_what_does_not_fit_is_said_with_what_would(tmp_path, capsys):
    arguments = ["--config", f"{FOLDER}/text/gpt.py:tiny", "--topology", TOPOLOGY]
    large = ["--config.data.batch_size=4194304", "--config.evaluation.batch_size=8"]
    assert main(["plan", *arguments, *large, "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "training does not fit" in printed and "GiB too much on each device" in printed
    assert "add up the gradients of smaller parts of the batch" in printed
    (found,) = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["plans"]
    memory = found["train"]["memory"]
    assert not found["train"]["fits"] and memory["needed"] > memory["limit"]
    assert found["remedy"]["needed"] <= memory["limit"]
    assert (tmp_path / "plan.txt").read_text(encoding="utf-8") == printed
    with Image.open(tmp_path / "plan.png") as image:
        assert image.width > 400


def test_tokens_are_patches_of_a_stream_and_a_codecs_patch_is_none():
    system = load("image/dit", "tiny")
    (side, _), patch = system.streams["image"].grid, system.networks["denoiser"].patch["image"]
    assert patch[0] > 1 and tokens(system) == (side // patch[0]) ** 2 + 1  # and the label
    assert tokens(load("video/wan_vae", "tiny")) == 13 * 24 * 24


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--topology", "v5e:2x2", "--mesh", "fsdq=2"], "did you mean"),
        (["--topology", "v5e:2x2", "--mesh", "fsdp=3"], "must multiply to 4"),
        (["--topology", "v5e:2by2"], "is not of the form"),
    ],
)
def test_a_mistake_is_one_line(arguments, word, capsys):
    assert main(["plan", "--config", f"{FOLDER}/text/gpt.py:tiny", *arguments]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1
