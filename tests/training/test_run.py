"""Whole runs from config files: stages, and a folder of one's own clips."""

import pathlib

import jax
import numpy as np
import pytest

import mmjax
from mmjax import tree
from mmjax.cli.main import main
from mmjax.modalities.container import save_clip
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.compiles import Compiles
from mmjax.training.restore import abstract_state
from mmjax.training.stages import expand
from mmjax.training.system import build
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics

ROOT = pathlib.Path(__file__).parents[2]
HEADER = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("quickstart", {str(ROOT / "configs/quickstart.py")!r})
quickstart = importlib.util.module_from_spec(spec)
spec.loader.exec_module(quickstart)

def get_config():
    config = quickstart.get_config("tiny")
    config.train.update(steps=3, log_every=1, save_every=0)
    del config.evaluation
"""


def config_file(folder: pathlib.Path, *lines: str) -> str:
    path = folder / "config.py"
    path.write_text(HEADER + "".join(f"    {line}\n" for line in (*lines, "return config")))
    return str(path)


def run_of(folder: Workdir):
    system = build(folder.config(), trusted=False)
    checkpoints = Checkpoints(folder.checkpoints, keep=3)
    state = checkpoints.restore_newest(abstract_state(system), print)
    checkpoints.close()
    return tree.flatten(jax.device_get(state.params)), state


def test_a_later_stage_goes_on_from_the_earlier_and_holds_what_is_frozen(tmp_path):
    config = config_file(
        tmp_path,
        "config.stages = {'first': {'order': 0, 'steps': 2}, 'second': {'order': 1, 'steps': 2,",
        "    'updates': {'all': {'params': 'denoiser/.*audio.*'}}}}",
    )
    arguments = ["train", "--config", config, "--workdir", str(tmp_path / "run")]
    compiles = Compiles()
    assert main(arguments) == 0
    assert compiles.of("step") == 2  # once for each stage
    workdir = Workdir(tmp_path / "run")
    assert [stage.name for stage in expand(workdir.config())] == ["first", "second"]
    (first, _), (second, state) = (run_of(workdir.stage(name)) for name in ("first", "second"))
    moved = {path for path in first if not np.array_equal(first[path], second[path])}
    assert moved and all("audio" in path for path in moved)
    assert (
        tree.flatten(jax.device_get(mmjax.restore(tmp_path / "run")[1].params)).keys()
        == second.keys()
    )
    assert int(mmjax.restore(tmp_path / "run")[1].step) == 2
    # Only what trains has optimiser state and a moving average.
    assert all("audio" in path for path in state.ema)

    assert main(arguments) == 0  # both are done: nothing moves
    again, _ = run_of(workdir.stage("second"))
    assert all(np.array_equal(again[path], second[path]) for path in second)


def write_clips(folder: pathlib.Path) -> None:
    """Clips of several sizes, rates and lengths, with captions; two of them broken."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    kinds = [(32, 48, 10.0, 25, 8000), (64, 64, 25.0, 50, 44100), (50, 34, 12.5, 24, 16000)]
    for number in range(10):
        height, width, fps, frames, rate = kinds[number % len(kinds)]
        film = rng.integers(0, 255, (frames, height, width, 3), np.uint8)
        sound = rng.uniform(-0.5, 0.5, (int(frames / fps * rate), 1 + number % 2))
        path = folder / f"clip{number}.mp4"
        save_clip(str(path), film, fps, sound.astype(np.float32), rate)
        path.with_suffix(".txt").write_text("a seven bounces three times")
    for number in (3, 8):
        path = folder / f"clip{number}.mp4"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def test_a_folder_of_clips_trains_and_its_broken_files_are_named(tmp_path, capsys, caplog):
    write_clips(tmp_path / "clips")
    config = config_file(
        tmp_path,
        "config.data.train = {'_target_': 'mmjax.data.folder:Folder',",
        f"    'root': {str(tmp_path / 'clips')!r}}}",
        "config.data.max_bad_share = 0.5",
    )
    workdir = tmp_path / "run"
    assert main(["train", "--config", config, "--workdir", str(workdir)]) == 0
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(np.isfinite(row["loss/all/total"]) for row in rows)
    listed = (workdir / "bad_records.jsonl").read_text()
    assert "clip3.mp4" in listed and "clip8.mp4" in listed
    assert listed.count("\n") == 2
    said = caplog.text + "".join(capsys.readouterr())
    assert "clip3.mp4" in said and "clip8.mp4" in said


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "data.batch_sise=8",
            "config.data.batch_sise: Data has no such field; did you mean 'batch_size'?",
        ),
        ("train.steps=many", "config.train.steps: expected int, got 'many'"),
        (
            "networks.denoiser.wdth=8",
            "config.networks.denoiser.wdth: Transformer has no such field",
        ),
    ],
)
def test_a_config_typo_is_one_line_and_exit_code_2(tmp_path, capsys, field, message):
    config = str(ROOT / "configs/quickstart.py:tiny")
    arguments = [
        "train",
        "--config",
        config,
        "--workdir",
        str(tmp_path / "run"),
        f"--config.{field}",
    ]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_missing_folder_is_one_line_and_exit_code_2(tmp_path, capsys):
    missing = tmp_path / "nowhere"
    config = config_file(
        tmp_path,
        f"config.data.train = {{'_target_': 'mmjax.data.folder:Folder', 'root': {str(missing)!r}}}",
    )
    assert main(["train", "--config", config, "--workdir", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert f"{missing}: no such folder" in said and said.count("\n") == 1
