"""What is wanted by default, and that a given text may be the beginning of the generated one."""

import dataclasses

import numpy as np
import pytest

from mmjax.cli.given import read_want
from mmjax.errors import UserError
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.streams import StreamSpec
from tests import harness


def make_system(**processes):
    codes = {name: None if isinstance(p, Flow) else 9 for name, p in processes.items()}
    streams = {
        name: StreamSpec(
            name, name, (4,), None if codes[name] else 2, codes[name], ("index",),
            np.zeros((4, 1)), process=process,
        )
        for name, process in processes.items()
    }  # fmt: skip
    return dataclasses.replace(harness.make_system(None, {}), streams=streams)


FILM = {"text": Clean(), "video": Flow(), "audio": Flow()}
WRITER = {"text": NextToken()}
BOTH = {"text": NextToken(), "video": Flow()}


@pytest.mark.parametrize(
    "processes,want,whole,expected",
    [
        (FILM, "", ["text"], ("video", "audio")),
        (FILM, "", ["video"], ("audio",)),
        (FILM, "audio, video", [], ("audio", "video")),
        (WRITER, "", [], ("text",)),
        (WRITER, "", ["text"], ("text",)),
        (BOTH, "", ["text"], ("video",)),
        (BOTH, "text", ["text"], ("text",)),
    ],
)
def test_what_is_wanted(processes, want, whole, expected):
    assert read_want(make_system(**processes), want, whole) == expected


@pytest.mark.parametrize(
    "want,whole,message",
    [
        ("video", ["video"], "--want video: it is given already"),
        ("text", ["text"], "--want text: it is given already"),
        ("", ["video", "audio"], "everything that this system can generate is given"),
        ("vidio", [], "no stream named 'vidio'"),
    ],
)
def test_what_cannot_be_wanted(want, whole, message):
    with pytest.raises(UserError, match=message):
        read_want(make_system(**FILM), want, whole)
