"""The command as such: help, mistakes, tracebacks."""

import pytest

from mmjax.cli import main as command
from mmjax.errors import UserError


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main([verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"mmjax {verb}" in text and "example" in text


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert all(verb in text for verb in command.VERBS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--workdir", "w"], "required: --config"),
        (["sample", "--out", "d"], "one of the arguments --workdir --weights is required"),
        (["sample", "--weights", "w", "--out", "d", "--count", "0"], "a number from 1"),
        (["report", "--workdir", "w", "--config.train.steps=3"], "takes no --config.train.steps=3"),
        (["train", "--config", "no.py", "--workdir", "w"], "no Python file 'no.py'"),
        (["report", "--workdir", "nowhere"], "nowhere: no run here"),
        (["evaluate", "--workdir", "nowhere"], "nowhere: no run here"),
        (["sample", "--weights", "nowhere", "--out", "d"], "no complete weights folder"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, mistake):
    assert said in mistake(*arguments)


def test_debug_shows_the_traceback():
    with pytest.raises(UserError, match="no run here"):
        command.main(["report", "--workdir", "nowhere", "--debug"])


def test_a_folder_that_cannot_be_written_is_one_line(mistake, tmp_path, weights):
    (tmp_path / "file").write_text("in the way")
    line = mistake("sample", "--weights", weights, "--out", tmp_path / "file" / "samples")
    assert str(tmp_path / "file") in line
