"""From what is given and wanted to the streams a sampler starts from."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.words import Bytes
from mmjax.errors import UserError
from mmjax.modalities.video import Video
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.samplers.any_to_any import begin, first_frames
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)


def make_spec(name, grid, process, codec=None, vocabulary=None, **fields):
    return StreamSpec(
        name, name, grid, None if vocabulary else 1, vocabulary, ("time",),
        np.zeros((*grid, 1)), codec=codec, process=process, **fields,
    )  # fmt: skip


SPECS = {
    "caption": make_spec("caption", (3,), Clean(), vocabulary=9),
    "video": make_spec("video", (4, 2, 2), Flow(), dropped="noise"),
    "audio": make_spec("audio", (6,), Flow(), dropped="noise"),
    "story": make_spec("story", (8,), NextToken(begin=1), Bytes(8), vocabulary=259),
}


def test_any_direction_from_one_set_of_streams():
    video = SPECS["video"].make(jnp.ones((2, 4, 2, 2, 1)))
    streams = begin(SPECS, {"video": video}, ("audio",), 2, KEY)
    assert list(streams) == list(SPECS)
    assert (streams["video"].time == 0.0).all() and (streams["video"].values == 1.0).all()
    assert (streams["audio"].time == 1.0).all() and streams["audio"].mask.all()
    assert not streams["caption"].mask.any()  # neither given nor wanted: hidden
    streams = begin(SPECS, {}, ("video",), 2, KEY)
    assert (streams["audio"].time == 1.0).all()  # neither: noise
    assert np.std(streams["audio"].values) > 0.3


def test_a_given_text_that_is_predicted_in_training_is_shifted_as_in_training():
    story = SPECS["story"].make(jnp.arange(16).reshape(2, 8))
    streams = begin(SPECS, {"story": story}, ("audio",), 2, KEY)
    np.testing.assert_array_equal(streams["story"].values[0], [1, 0, 1, 2, 3, 4, 5, 6])


def test_first_frames_are_known_and_the_rest_is_wanted():
    modality = Video(8, 2, 2, 12.5, 1)
    spec = dataclasses.replace(SPECS["video"], modality=modality, codec=HalfRate())
    frame = np.full((2, 2, 2, 1), 5, np.uint8)
    fields = first_frames(spec, frame, length=2)
    assert fields["video"].shape == (2, 8, 2, 2, 1) and (fields["video"] == 5).all()
    stream = spec.encode(jax.tree.map(jnp.asarray, fields))
    started = begin({"video": spec}, {"video": stream}, ("video",), 2, KEY)["video"]
    assert started.time.shape == (2, 4, 1, 1)
    np.testing.assert_array_equal(started.time[0, :, 0, 0], [0.0, 0.0, 1.0, 1.0])
    assert started.mask.all() and (started.values[:, :2] == 5.0).all()


class HalfRate(types.SimpleNamespace):
    """A codec that keeps every other frame."""

    host = False

    def encode(self, video):
        return video[:, ::2].astype(jnp.float32)


def test_a_prompt_is_known_up_to_its_end():
    ids, mask = zip(*(Bytes(8).encode(text) for text in ("abc", "a")), strict=True)
    prompt = SPECS["story"].encode({"story": np.stack(ids), "story_mask": jnp.stack(mask)})
    started = begin(SPECS, {"story": prompt}, ("story",), 2, KEY)["story"]
    known = np.asarray(started.time == 0.0)
    np.testing.assert_array_equal(known.sum(1), [3, 1])  # the letters, not the end mark
    assert started.mask.all()


@pytest.mark.parametrize(
    "given,want,message",
    [
        ((), ("vidio",), "no stream named 'vidio'.*did you mean 'video'"),
        (("sound",), ("video",), "no stream named 'sound'"),
        ((), ("caption",), "'caption' is a condition"),
    ],
)
def test_wrong_names_are_a_users_mistake(given, want, message):
    stream = SPECS["audio"].make(jnp.ones((2, 6, 1)))
    with pytest.raises(UserError, match=message):
        begin(SPECS, {name: stream for name in given}, want, 2, KEY)
