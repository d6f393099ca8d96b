"""The notebooks run from the first cell to the last, and are what their scripts say."""

import importlib.metadata
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import jupytext
import nbclient
import nbformat
import pytest

from mmjax import config as configs
from mmjax.training import weights
from mmjax.training.restore import untrained
from mmjax.training.system import build

ROOT = pathlib.Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "colabs").glob("*.py"))
NAMES = [path.stem for path in SCRIPTS]


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def data_of(notebook, kind):
    """Everything of a media type that the cells put out."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_there_are_notebooks():
    assert "first_steps" in NAMES
    assert NAMES == sorted(path.stem for path in (ROOT / "colabs").glob("*.ipynb"))


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_notebook_is_its_script_without_outputs(script):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    command = f"jupytext --update --to ipynb colabs/{script.name}"
    assert cells(notebook) == cells(jupytext.read(script)), f"run: {command}"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, f"{cell.source}: has outputs"
    assert f"/colabs/{script.stem}.ipynb" in notebook.cells[0].source  # the badge


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Settings for a notebook on untrained tiny weights; returns its folder."""
    system = build(configs.load(f"{ROOT}/configs/quickstart.py:tiny"))
    weights.save(tmp_path / "weights", system, untrained(system))
    settings = {"WEIGHTS": tmp_path / "weights", "VARIANT": "tiny", "STEPS": 6, "OUT": tmp_path}
    settings["REPOSITORY"] = tmp_path / "nowhere"  # nothing may be fetched
    for name, value in settings.items():
        monkeypatch.setenv(f"MMJAX_{name}", str(value))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return tmp_path


def test_first_steps(tiny):
    notebook = nbformat.read(ROOT / "colabs/first_steps.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=500, kernel_name="python3",
        resources={"metadata": {"path": str(ROOT / "colabs")}},
    )  # fmt: skip
    client.execute()
    films = [html for html in data_of(notebook, "text/html") if "<video" in html]
    sounds = [html for html in data_of(notebook, "text/html") if "<audio" in html]
    assert len(films) == 4 and all("data:video/mp4;base64," in film for film in films)
    assert len(sounds) == 2 and all("data:audio/wav;base64," in sound for sound in sounds)
    assert len(data_of(notebook, "image/png")) == 4 + 2  # a sheet per clip, and two plots
    for name in ("seven", "yours", "voiced", "minute_old"):
        assert (tiny / f"{name}.mp4").stat().st_size > 1000
    rows = (tiny / "run_of_6_steps/metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == 6
    text = printed(notebook)
    figures = dict(re.findall(r"(.* sound) +F1 .* one frame: ([\d.]+)", text))
    assert figures.keys() == {"the simulator's sound", "the model's sound", "another clip's sound"}
    assert figures["the simulator's sound"] == "1.00"
    assert float(figures["another clip's sound"]) < 0.5


@pytest.mark.parametrize("upgraded", [False, True])
def test_the_first_cell_installs_where_mmjax_is_missing(tmp_path, monkeypatch, upgraded):
    """In Colab: a checkout, its packages, and word of a restart if JAX in use was exchanged."""
    monkeypatch.chdir(tmp_path)
    missing = {"mmjax", "jax_cuda12_plugin", "libtpu"}
    find_spec, version = importlib.util.find_spec, importlib.metadata.version
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name)
    )
    commands = []

    def run(command, *, check):
        assert check
        commands.append(command)
        if command[0] == "git":
            (tmp_path / command[-1] / "configs").mkdir(parents=True)
            (tmp_path / command[-1] / "configs/quickstart.py").touch()

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(
        importlib.metadata, "version",
        lambda name: "99" if upgraded and name == "jax" and commands else version(name),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "jax", sys)  # in use
    notebook = jupytext.read(ROOT / "colabs/first_steps.py")
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    if upgraded:
        with pytest.raises(SystemExit, match="jax was upgraded while in use: choose Runtime"):
            exec(first.source, {})
    else:
        exec(first.source, {})
    clone, install = commands
    assert clone[:2] == ["git", "clone"] and clone[-1] == "mmjax-checkout"
    assert install == [sys.executable, *"-m pip install --quiet ./mmjax-checkout[colab]".split()]
