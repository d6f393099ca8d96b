"""A weights folder gives back what was saved, whole, or says in one line what is wrong with it."""

import json
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

from mmjax import config as configs
from mmjax import tree
from mmjax.cli.main import main
from mmjax.errors import UserError
from mmjax.training.restore import restore
from mmjax.training.state import averaged
from mmjax.training.system import build
from mmjax.training.weights import TENSORS, load, save


@pytest.fixture
def copy(weights, tmp_path):
    """A copy of the weights folder to damage."""
    return shutil.copytree(weights, tmp_path / "copy")


def change(folder, edit):
    """Edits the tensors of a weights folder."""
    tensors = safetensors.numpy.load_file(folder / TENSORS)
    edit(tensors)
    safetensors.numpy.save_file(tensors, folder / TENSORS)


def test_the_folder_holds_config_figures_and_command(weights):
    names = {path.name for path in weights.iterdir()}
    assert names == {TENSORS, "config.json", "metrics.json", "command.txt"}
    assert (weights / "command.txt").read_text().startswith("mmjax train --config quickstart.py")
    build(configs.loads((weights / "config.json").read_text(), "config.json"), trusted=False)


def test_averages_come_back_exactly(run, weights):
    _, state = restore(run)
    expected = tree.flatten(averaged(state.params, state.ema))
    raw = tree.flatten(state.params)
    assert any(not np.array_equal(expected[path], raw[path]) for path in raw)
    loaded = load(weights)[1]
    found = tree.flatten(loaded.params)
    assert found.keys() == expected.keys() and int(loaded.step) == 8
    for path, leaf in expected.items():
        np.testing.assert_array_equal(found[path], leaf)


def test_half_precision_halves_the_size_and_rounds(run, weights, tmp_path):
    flags = ["weights", "export", "--workdir", str(run), "--to", str(tmp_path / "half"), "--half"]
    assert main(flags) == 0
    sizes = [(folder / TENSORS).stat().st_size for folder in (tmp_path / "half", weights)]
    assert sizes[0] < 0.6 * sizes[1]
    full, half = (tree.flatten(load(f)[1].params) for f in (weights, tmp_path / "half"))
    for path, leaf in full.items():
        assert half[path].dtype == leaf.dtype
        assert np.abs(half[path] - leaf).max() <= 2**-10 * np.abs(leaf).max() + 1e-30


def test_half_precision_refuses_what_it_cannot_hold(run, tmp_path):
    system, state = restore(run)
    large = jax.tree.map(lambda leaf: leaf + 1e6, state.ema)
    with pytest.raises(UserError, match="float16 cannot hold"):
        save(tmp_path / "new", system, state.replace(ema=large), half=True)
    assert not list(tmp_path.iterdir())


def drop_one(folder):
    path = next(iter(safetensors.numpy.load_file(folder / TENSORS)))
    change(folder, lambda tensors: tensors.pop(path))


DAMAGES = {
    "lacks tensor": drop_one,
    "holds unexpected tensor params/ghost": lambda folder: change(
        folder, lambda tensors: tensors.update({"params/ghost": np.zeros(3, np.float32)})
    ),
    "but its config says": lambda folder: change(
        folder,
        lambda tensors: tensors.update({k: v[..., :1] for k, v in list(tensors.items())[:1]}),
    ),
    "not finite": lambda folder: change(
        folder, lambda tensors: tensors.update({k: v * np.nan for k, v in tensors.items()})
    ),
    "is damaged or truncated": lambda folder: (folder / TENSORS).write_bytes(
        (folder / TENSORS).read_bytes()[:100]
    ),
    "there is no weights.safetensors": lambda folder: (folder / TENSORS).unlink(),
    "there is no config.json": lambda folder: (folder / "config.json").unlink(),
    "not valid JSON": lambda folder: (folder / "config.json").write_text("{"),
}


@pytest.mark.parametrize("said", DAMAGES)
def test_a_damaged_folder_is_one_line(said, copy, tmp_path, mistake):
    DAMAGES[said](copy)
    line = mistake("sample", "--weights", copy, "--out", tmp_path / "out")
    assert said in line and str(copy) in line


def test_a_config_may_not_name_other_code(copy, tmp_path, mistake):
    config = json.loads((copy / "config.json").read_text())
    config["sampler"]["_target_"] = "os:system"
    (copy / "config.json").write_text(json.dumps(config))
    assert "outside mmjax" in mistake("sample", "--weights", copy, "--out", tmp_path / "out")


def test_a_save_that_fails_leaves_the_older_folder(run, copy, monkeypatch):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    system, state = restore(run)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmjax.training.weights.os.replace", full)
    with pytest.raises(UserError, match="No space left"):
        save(copy, system, state)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    save(copy, system, state)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_other_folders_are_not_replaced(run, tmp_path, mistake):
    (tmp_path / "thesis.tex").write_text("years of work")
    line = mistake("weights", "export", "--workdir", run, "--to", tmp_path)
    assert "something else than weights" in line
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_samples_need_no_data(copy, mistake):
    config = json.loads((copy / "config.json").read_text())
    config["data"]["train"] = {"_target_": "mmjax.data.folder:Folder", "root": "gone"}
    (copy / "config.json").write_text(json.dumps(config))
    system, _ = load(copy, data=False)
    assert system.data.train is None and system.config["data"]["train"]["root"] == "gone"
    assert "gone: no such folder" in mistake("evaluate", "--weights", copy)
