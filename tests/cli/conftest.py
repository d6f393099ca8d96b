"""One tiny run of the quickstart that the verbs are tried on, and its weights."""

import pathlib

import pytest

from mmjax.cli.main import main

ROOT = pathlib.Path(__file__).parents[2]
TINY = f"{ROOT}/configs/quickstart.py:tiny"


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fields = ("train.preview_every=8", "train.log_every=1")
    flags = [f"--config.{field}" for field in fields]
    assert main(["train", "--config", TINY, "--workdir", str(folder), *flags]) == 0
    return folder


@pytest.fixture(scope="session")
def weights(run, tmp_path_factory):
    """Its weights folder."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    assert main(["weights", "export", "--workdir", str(run), "--to", str(folder)]) == 0
    return folder


@pytest.fixture
def mistake(capsys):
    """Runs a verb that must fail with exit code 2 and one line; returns that line."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own way out
            code = stop.code
        assert code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        lines = [line for line in lines if not line.startswith("judged ")]
        assert len(lines) == 1 and lines[0].startswith("mmjax")
        return lines[0]

    return run
