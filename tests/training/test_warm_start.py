"""Beginning with other weights: what is taken under which name, and what is refused."""

import dataclasses
import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as configs
from mmjax.errors import UserError
from mmjax.interop.module_folder import save_module
from mmjax.sharding.mesh import make_mesh
from mmjax.training import weights
from mmjax.training.init_rules import Init
from mmjax.training.loop import train
from mmjax.training.placement import Placement
from mmjax.training.stages import expand
from mmjax.training.state import abstract_batch, averaged
from mmjax.training.warm_start import REPORT, warm_start
from mmjax.training.workdir import Workdir
from tests.harness import ADAM, assert_all_differ, assert_same_bits
from tests.tiny import FOLDER
from tests.training import toy
from tests.training.damage import flipped
from tests.training.pairs import BATCH, Pairs, first_state, system

LEAVES = {"model/dense/kernel", "model/dense/bias", "model/counts/calls"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with moving averages, its system and its last state."""
    workdir = Workdir(tmp_path_factory.mktemp("pretrained"))
    made = system(updates=toy.one_update(optimiser=ADAM), ema=0.9)
    return workdir, made, train(made, workdir)[0]


def two_networks():
    """A system whose networks ``a`` and ``b`` are both like the trained ``model``."""

    def terms(ctx, batch, key, update):
        found, aux = toy.squared_errors(
            dataclasses.replace(ctx, networks={"model": ctx.networks["a"]}), batch, key, update
        )
        return found, aux

    made = toy.system(toy.Toy(terms, networks=("a", "b")))
    return dataclasses.replace(made, data=system().data, modalities=system().modalities)


def begun(made, init, folder):
    """The first state of a system with this section ``init``."""
    made = dataclasses.replace(made, init=init, seed=7)
    example = {"x": np.zeros((BATCH, 4), np.float32), "y": np.zeros((BATCH, 2), np.float32)}
    placement = Placement(made, make_mesh(made.mesh), abstract_batch(example, BATCH))
    return placement.begin(warm_start(placement, folder))


def test_without_the_section_nothing_is_taken(tmp_path):
    placement = Placement(made := system(), make_mesh(made.mesh), Pairs(BATCH)[0])
    assert warm_start(placement, tmp_path) is None


def test_a_run_begins_with_the_averages_of_another(trained, tmp_path, capsys):
    workdir, made, last = trained
    state = begun(made, Init(str(workdir.path)), tmp_path)
    assert_same_bits(state.params, averaged(last.params, last.ema))
    assert_same_bits(state.mutable, last.mutable)
    assert_same_bits(state.ema, {path: last.ema[path] for path in state.ema})
    fresh = first_state(dataclasses.replace(made, seed=7))
    none = {"params": {}, "mutable": {}, "ema": {}}
    assert_same_bits(state.replace(**none), fresh.replace(**none))
    assert_all_differ(state.params["model"]["dense"]["kernel"],
                      fresh.params["model"]["dense"]["kernel"])  # fmt: skip
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["taken"] == {path: path for path in LEAVES}
    assert (report["fresh"], report["unused"], report["numbers"]) == ([], [], 4 * 2 + 2 + 1)
    assert f"begins with 3 arrays (11 numbers) of {workdir.path}, step 10," in (
        capsys.readouterr().out
    )


def test_two_networks_may_begin_as_one_and_are_not_one_array(trained, tmp_path):
    workdir, _, last = trained
    init = Init(str(workdir.path), paths={"a": "model", "b": "model"})
    state = begun(two_networks(), init, tmp_path)
    assert_same_bits(state.params["a"], averaged(last.params, last.ema)["model"])
    assert_same_bits(state.params["b"], state.params["a"])
    jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)


def test_part_of_a_run_is_taken_and_the_rest_is_initialised(trained, tmp_path):
    workdir, made, last = trained
    init = Init(str(workdir.path), fresh="model/dense/kernel|.*/calls")
    state = begun(made, init, tmp_path)
    fresh = first_state(dataclasses.replace(made, seed=7))
    dense = state.params["model"]["dense"]
    assert_same_bits(dense["bias"], last.ema["model/dense/bias"])
    assert_same_bits(dense["kernel"], fresh.params["model"]["dense"]["kernel"])
    assert_same_bits(state.mutable, fresh.mutable)
    report = json.loads((tmp_path / REPORT).read_text())
    assert set(report["fresh"]) == LEAVES - {"model/dense/bias"}


@pytest.mark.parametrize("half", [False, True])
def test_a_weights_folder_serves_as_well(trained, tmp_path, half):
    _, made, last = trained
    weights.save(tmp_path / "weights", made, last, half=half)
    state = begun(made, Init(str(tmp_path / "weights")), tmp_path)
    expected = averaged(last.params, last.ema)
    if half:
        expected = jax.tree.map(lambda x: x.astype(jnp.float16).astype(jnp.float32), expected)
    assert_same_bits(state.params, expected)


def test_an_imported_module_serves_as_well(trained, tmp_path):
    _, made, last = trained
    variables = {"params": last.params["model"], **last.mutable["model"]}
    save_module(made.networks["model"], variables, tmp_path / "module")
    init = Init(str(tmp_path / "module"), paths={"model": "module"})
    state = begun(made, init, tmp_path)
    assert_same_bits((state.params, state.mutable), (last.params, last.mutable))


def test_a_run_that_goes_on_takes_nothing_again(trained, tmp_path):
    shutil.copytree(trained[0].path, tmp_path / "pretrained")
    init = Init(str(tmp_path / "pretrained"))
    made = dataclasses.replace(system(ema=0.9), init=init)
    shorter = dataclasses.replace(made, train=dataclasses.replace(made.train, steps=4))
    straight, _ = train(made, Workdir(tmp_path / "straight"))
    train(shorter, Workdir(tmp_path / "run"))
    shutil.rmtree(tmp_path / "pretrained")
    state, _ = train(made, Workdir(tmp_path / "run"))
    assert_same_bits(state, straight)
    other, _ = train(dataclasses.replace(made, init=None), Workdir(tmp_path / "other"))
    assert_all_differ(other.params, state.params)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(trained, tmp_path, capsys):
    workdir, made, _ = trained
    copy = Workdir(tmp_path / "copy")
    shutil.copytree(workdir.path, copy.path)
    victim = next(path for path in (copy.checkpoints / "10" / "d").iterdir())
    victim.write_bytes(flipped(victim.read_bytes(), random.Random(0)))
    begun(made, Init(str(copy.path)), tmp_path)
    assert "step 10 is not used" in capsys.readouterr().out
    assert json.loads((tmp_path / REPORT).read_text())["from"].endswith("step 8,")


def test_weights_that_are_not_finite_are_refused(trained, tmp_path):
    _, made, last = trained
    spoiled = {**last.ema, "model/dense/bias": jnp.full(2, jnp.nan)}
    weights.save(tmp_path / "weights", made, last.replace(ema=spoiled))
    with pytest.raises(UserError, match="model/dense/bias of .*weights holds values that are not"):
        begun(made, Init(str(tmp_path / "weights")), tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="is neither a run nor a folder of weights"):
        begun(system(), Init(str(tmp_path)), tmp_path)
    Workdir(tmp_path / "run").claim({"name": "toy"})
    with pytest.raises(UserError, match="checkpoints holds no checkpoint that can be used"):
        begun(system(), Init(str(tmp_path / "run")), tmp_path)


def leaf(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)


HERE = {"net/a/w": leaf(2, 3), "net/b/w": leaf(3), "net/head/w": leaf(5)}
THERE = {"net/a/w": leaf(2, 3), "net/c/w": leaf(3), "net/head/w": leaf(9), "old/w": leaf(1)}
GOOD = {"paths": {"net/b": "net/c"}, "fresh": "net/head/.*", "unused": "old/.*"}


def test_every_path_is_accounted_for():
    found = Init("x", **GOOD).assign(HERE, THERE, "there")
    assert found.taken == {"net/a/w": "net/a/w", "net/b/w": "net/c/w"}
    assert (found.fresh, found.unused) == (["net/head/w"], ["old/w"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": {}}, "there lacks net/b/w; say in config.init.paths"),
        ({"unused": ""}, "there also holds old/w, which this config has not"),
        ({"fresh": ""}, r"net/head/w is float32 \[5\] here, and net/head/w is float32 \[9\] there"),
        ({"paths": {**GOOD["paths"], "ne": "net"}}, "paths: nothing here is taken for 'ne'"),
        ({"fresh": "net/head/.*|net/a/v", "unused": "old"}, "also holds old/w"),
        ({"fresh": "net/heads/.*", "paths": {"net/b": "net/c", "net/head": "net/a"}}, "net/head/w"),
    ],
)
def test_what_the_rules_leave_open_is_an_error_that_names_the_path(change, message):
    with pytest.raises(UserError, match=message):
        Init("x", **{**GOOD, **change}).assign(HERE, THERE, "there")


@pytest.mark.parametrize("field", ["fresh", "unused"])
def test_a_rule_that_matches_nothing_is_an_error(field):
    with pytest.raises(UserError, match=f"init.{field}: 'nothing' matches no whole path"):
        Init("x", **{field: "nothing"}).assign(HERE, HERE, "there")
    with pytest.raises(ValueError, match=rf"{field}: '\(' is no regular expression"):
        Init("x", **{field: "("})


def test_another_dtype_is_refused():
    there = {**HERE, "net/b/w": leaf(3, dtype="bfloat16")}
    with pytest.raises(UserError, match=r"net/b/w is float32 \[3\] here, and .* is bfloat16 \[3\]"):
        Init("x").assign(HERE, there, "there")


def test_many_paths_are_listed_in_part():
    with pytest.raises(UserError, match="lacks n0, n1, n2, n3, n4, n5, n6, n7 and 2 more;"):
        Init("x").assign({f"n{i}": leaf(1) for i in range(10)}, {}, "there")


def test_only_the_first_stage_takes_other_weights():
    stages = {"one": {"order": 0, "steps": 1}, "two": {"order": 1, "steps": 1}}
    base = {"name": "x", "train": {}, "init": {"folder": "pretrained"}}
    first, second = expand({**base, "stages": stages})
    assert first.config["init"] == base["init"] and "init" not in second.config
    stages["two"]["init"] = {"fresh": "x"}
    with pytest.raises(UserError, match=r"stages\.two\.init: the stage begins with what 'one'"):
        expand({**base, "stages": stages})


def test_the_section_can_be_given_on_the_command_line():
    config = configs.load(
        f"{FOLDER}/quickstart.py:tiny", ["init.folder=pretrained/bouncing_digits"]
    )
    assert configs.plain(config)["init"] == {"folder": "pretrained/bouncing_digits"}
    with pytest.raises(UserError, match=r"config\.inits: no such field"):
        configs.load(f"{FOLDER}/quickstart.py:tiny", ["inits.folder=x"])
