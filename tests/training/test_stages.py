"""Merging a stage into its config, and carrying parameters over by path."""

import jax
import jax.numpy as jnp
import pytest

from mmjax.errors import UserError
from mmjax.training.stages import begin_after, carry_over, expand
from mmjax.training.state import init
from tests.harness import assert_same_bits
from tests.training.toy import Linear, Toy, batch, system

BASE = {
    "name": "x",
    "train": {"steps": 5, "ema": 0.9},
    "networks": {"a": {"_target_": "m:A", "width": 3, "norm": {"eps": 1e-5}}, "b": {"size": 2}},
}


def stage(**described):
    return expand({**BASE, "stages": {"one": {"steps": 7, **described}}})[0].config


def test_a_config_without_stages_is_one():
    assert expand(BASE) == [("", BASE, {})]


def test_stages_come_in_their_order():
    described = {"z": {"order": 0, "steps": 1}, "a": {"order": 1, "steps": 1}}
    assert [found.name for found in expand({**BASE, "stages": described})] == ["z", "a"]


def test_a_stage_changes_single_fields():
    found = stage(networks={"a": {"norm": {"eps": 1e-3}}}, train={"ema": 0.5})
    assert found["networks"]["a"] == {"_target_": "m:A", "width": 3, "norm": {"eps": 1e-3}}
    assert found["train"] == {"steps": 7, "ema": 0.5}
    assert "stages" not in found and BASE["networks"]["a"]["norm"]["eps"] == 1e-5


def test_a_target_replaces_the_whole_group():
    found = stage(networks={"a": {"_target_": "m:B", "depth": 1}})
    assert found["networks"]["a"] == {"_target_": "m:B", "depth": 1}


def test_none_leaves_a_part_out_but_is_a_value_deeper_down():
    found = stage(networks={"a": {"width": None, "norm": None}, "b": None, "c": {"size": 1}})
    assert found["networks"] == {
        "a": {"_target_": "m:A", "width": None, "norm": None}, "c": {"size": 1},
    }  # fmt: skip


def test_each_stage_draws_its_own_unless_it_says_so():
    described = {name: {"order": at, "steps": 1} for at, name in enumerate("abc")}
    described["c"]["seed"] = 3
    seeds = [found.config["seed"] for found in expand({**BASE, "stages": described})]
    assert len(set(seeds)) == 3 and seeds[2] == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    other = expand({**BASE, "seed": 1, "stages": described})
    assert other[0].config["seed"] != seeds[0] and other[2].config["seed"] == 3


def test_a_stage_without_a_length_is_refused():
    with pytest.raises(UserError, match=r"config\.stages\.one\.steps: a stage needs its length"):
        expand({**BASE, "stages": {"one": {"order": 1}}})


def test_paths_are_renamed_whole_and_by_the_longest_beginning():
    old = {"net": {"a": jnp.array(1.0), "ab": jnp.array(2.0)}, "head": {"w": jnp.array(3.0)}}
    new = {"net": {"a": jnp.array(-1.0), "ab": jnp.array(-1.0), "c": jnp.array(-1.0)},
           "twin": {"a": jnp.array(-1.0), "ab": jnp.array(-1.0)}}  # fmt: skip
    found = carry_over(old, new, {"twin": "net", "twin/ab": "head/w"})
    assert jax.tree.map(float, found) == {
        "net": {"a": 1.0, "ab": 2.0, "c": -1.0}, "twin": {"a": 1.0, "ab": 3.0},
    }  # fmt: skip


def test_another_shape_is_refused():
    with pytest.raises(UserError, match=r"b/w: has shape \[3\], but a/w of the stage before"):
        carry_over({"a": {"w": jnp.ones(2)}}, {"b": {"w": jnp.ones(3)}}, {"b": "a"})


def test_collections_are_carried_over_too_and_nothing_is_shared():
    one, two = system(Toy(networks=("a",))), system(Toy(networks=("a", "b")))
    old = init(one, batch())
    old = old.replace(mutable={"a": {"counts": {"calls": jnp.array(5.0)}}})
    found = begin_after(two, batch(), old, {"b": "a"})
    assert found.mutable["a"] == found.mutable["b"] == {"counts": {"calls": 5.0}}
    assert_same_bits(found.params["b"], old.params["a"])
    jax.jit(lambda state: state.replace(step=state.step + 1), donate_argnums=0)(found)
    assert not old.params["a"]["dense"]["kernel"].is_deleted()


@pytest.mark.parametrize("copies", [{"b": "c"}, {"c": "a"}, {"b/dense": "a/dens"}])
def test_a_copy_of_nothing_is_refused(copies):
    two = system(Toy(networks=("a", "b")), networks={"a": Linear(), "b": Linear()})
    old = init(system(Toy(networks=("a",))), batch())
    with pytest.raises(UserError, match="init_copy: nothing to copy from"):
        begin_after(two, batch(), old, copies)
