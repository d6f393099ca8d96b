"""Building a whole system from a config: what is wired to what, and what a mistake says."""

import copy
import functools

import numpy as np
import pytest

from mmjax import config as configs
from mmjax.errors import UserError
from mmjax.training.system import build
from tests.tiny import FOLDER


@functools.cache
def tiny():
    return configs.plain(configs.load(f"{FOLDER}/quickstart.py:tiny"))


REMOVED = object()


def edited(path, value):
    """The tiny quickstart config with one field changed, added or taken away."""
    config = node = copy.deepcopy(tiny())
    *parents, last = path.split(".")
    for parent in parents:
        node = node[parent]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    return config


def test_streams_are_derived_from_modalities_and_codecs():
    system = build(tiny())
    assert list(system.streams) == ["text", "video", "audio"]  # by their order
    video = system.streams["video"]
    assert video.field == "video" and video.modality is system.modalities["video"]
    assert video.codec is system.codecs["pixels"] and not video.discrete
    assert video.grid == (24, 24, 24) and video.channels == 1
    assert video.axes == ("time", "height", "width")
    assert video.grid_positions.shape == (24, 24, 24, 3)
    text = system.streams["text"]
    assert text.discrete and text.vocabulary == system.codecs["words"].vocabulary
    assert system.streams["audio"].grid == (120,) and system.streams["audio"].channels == 256


def test_streams_are_handed_to_those_that_take_them():
    system = build(tiny())
    assert dict(system.networks["denoiser"].streams) == system.streams
    assert system.objective.streams is system.streams


def test_a_stream_without_a_codec_takes_the_raw_values():
    config = edited("streams.audio.codec", None)
    del config["networks"]["denoiser"]["patch"]["audio"]
    spec = build(config).streams["audio"]
    assert spec.grid == (15360,) and spec.channels == 2 and spec.codec is None
    spec = build(edited("streams.label", {"modality": "label", "process": {
        "_target_": "mmjax.processes.clean:Clean"}}) | {"modalities": {**tiny()["modalities"],
        "label": {"_target_": "mmjax.modalities.label:Label", "classes": 10}}}
    ).streams["label"]  # fmt: skip
    assert spec.grid == () and spec.discrete and spec.vocabulary == 10


def test_updates_go_by_order_and_then_by_name():
    update = tiny()["updates"]["all"]
    several = {name: {**update, "order": order} for name, order in (("b", 1), ("a", 1), ("c", 0))}
    assert list(build({**tiny(), "updates": several}).updates) == ["c", "a", "b"]


def test_the_config_is_kept_as_plain_values():
    config = configs.load(f"{FOLDER}/quickstart.py:tiny")
    system = build(config)
    assert system.config == configs.plain(config)
    assert system.seed == 0 and build({**tiny(), "seed": 3}).seed == 3
    again = build(configs.loads(configs.dumps(config), "config.json"), trusted=False)
    assert (again.train, again.sampler) == (system.train, system.sampler)
    np.testing.assert_equal(vars(again.streams["video"]), vars(system.streams["video"]))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("network", {}, "config.network: no such section; did you mean 'networks'?"),
        ("objective", REMOVED, "config.objective: a config needs this section"),
        ("objective", 3, "config.objective: expected a group of fields, got 3"),
        ("name", 3, "config.name: expected a string, got 3"),
        ("seed", "x", "config.seed: expected an integer, got 'x'"),
        ("seed", True, "config.seed: expected an integer, got True"),
        ("networks.denoiser.wdith", 3, "config.networks.denoiser.wdith: Transformer has no such "
         "field; did you mean 'width'?"),
        ("networks.denoiser.width", "48", "config.networks.denoiser.width: expected int"),
        ("networks.denoiser.width", 49, "config.networks.denoiser: width 49 does not divide"),
        ("networks.denoiser.patch.audio", 5, "config.networks.denoiser.patch.audio: expected"),
        ("train.stepz", 3, "config.train.stepz: Train has no such field; did you mean 'steps'?"),
        ("train.steps", REMOVED, "config.train.steps: Train needs this field"),
        ("train.accumulate", 0, "config.train: accumulate must be at least 1, not 0"),
        ("train.accumulate", 3, "config.data.batch_size: 8 does not divide into 3 accumulated"),
        ("train.ema", 1.0, "config.train: ema must be in [0, 1), not 1.0"),
        ("data.batch_size", 0, "config.data: batch_size must be at least 1, not 0"),
        ("updates.all.repeat", 3, "config.data.batch_size: 8 does not divide into 1 accumulated"),
        ("updates.all.every", 0, "config.updates.all: every must be at least 1, not 0"),
        ("updates.all.params", "(", "config.updates.all: params: '(' is no regular expression"),
        ("updates.all.optimiser.schedule.decay", "cosin", "config.updates.all.optimiser.schedule"),
        ("updates.all.optimiser", {"_target_": "mmjax.codecs.pixels:Pixels"},
         "config.updates.all.optimiser: Pixels is no Optimiser"),
        ("streams.video.modality", "vidoe", "config.streams.video.modality: nothing named 'vidoe'; "
         "did you mean 'video'?"),
        ("streams.video.codec", "pixel", "config.streams.video.codec: nothing named 'pixel'; did "
         "you mean 'pixels'?"),
        ("streams.video.process", {"_target_": "mmjax.samplers.ode:Euler"},
         "config.streams.video.process: Euler is no Process"),
        ("objective", {"_target_": "mmjax.samplers.ode:Euler"},
         "config.objective: Euler is no Objective"),
        ("sampler", {"_target_": "mmjax.processes.flow:Flow"},
         "config.sampler: Flow is no Sampler"),
        ("sampler.guidance.text.drop", ({"a": 1},),
         "config.sampler.guidance.text.drop[0]: a mapping inside a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_place(path, value, message):
    with pytest.raises(UserError) as caught:
        build(edited(path, value))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_an_objective_of_the_whole_batch_refuses_accumulation():
    config = configs.plain(configs.load(f"{FOLDER}/vl/clip.py:tiny"))
    config["train"]["accumulate"] = 2
    with pytest.raises(UserError, match="couples the whole batch"):
        build(config)


def test_a_saved_config_names_nothing_outside_the_package():
    config = edited("data.train", {"_target_": "tests.harness:Anything"})
    with pytest.raises(UserError, match=r"config\.data\.train\._target_: .* is outside mmjax"):
        build(config, trusted=False)
