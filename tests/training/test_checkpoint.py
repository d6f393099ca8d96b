"""What is on disk is what was saved, or it is named and not used."""

import contextlib
import os
import random
import subprocess
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import files
from mmjax.errors import UserError
from mmjax.training import manifest
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.manifest import Damaged
from mmjax.training.optimiser import AdamW, Schedule
from tests.harness import assert_same_bits
from tests.training import toy
from tests.training.damage import damage, flipped
from tests.training.pairs import at_step, first_state, system

CASES = 20


@pytest.fixture(scope="module")
def state():
    made = system(updates=toy.one_update(optimiser=AdamW(Schedule(0.1))), ema=0.9)
    return first_state(made)


@pytest.fixture
def opened(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    yield checkpoints
    checkpoints.close()


def saved(checkpoints, state, *steps):
    for step in steps:
        checkpoints.save(at_step(state, step))
    checkpoints.wait()
    return checkpoints


def abstract(state):
    return jax.eval_shape(lambda: state)


def test_any_damage_is_found_and_named_and_the_step_before_is_used(opened, state):
    saved(opened, state, 1, 2)
    seed = random.randrange(2**32)
    print(f"damages drawn with seed {seed}")
    moments = random.Random(seed)
    newest = opened.folder / "2"
    whole = {p: p.read_bytes() for p in [*manifest.files(newest), newest.with_suffix(".sha256")]}
    for number in range(CASES):
        path, kind = damage(newest, moments)
        said = []
        found = opened.restore_newest(abstract(state), said.append)
        assert len(said) == 1 and "step 2 is not used" in said[0], (number, path, kind)
        assert str(path) in said[0] or path.name in said[0], (number, path, kind, said)
        assert_same_bits(found, at_step(state, 1))
        for name, content in whole.items():
            name.write_bytes(content)
    assert_same_bits(opened.restore_newest(abstract(state), pytest.fail), at_step(state, 2))


def test_orbax_alone_restores_a_flipped_bit(opened, state):
    """The reason for the manifest: without it this test's values would be trained on."""
    saved(opened, state, 1)
    folder = opened.folder / "1"
    differ = 0
    for path in manifest.files(folder):
        content = path.read_bytes()
        if path.parent.name != "d" or len(content) < 16:
            continue
        path.write_bytes(flipped(content, random.Random(0)))
        target = jax.tree.map(np.asarray, at_step(state, 1))
        try:
            found = opened._orbax.restore(folder)
        except Exception:
            found = None
        path.write_bytes(content)
        if found is not None:
            leaves = zip(jax.tree.leaves(found), jax.tree.leaves(target), strict=True)
            differ += not all(np.array_equal(one, other) for one, other in leaves)
    assert differ


def test_the_manifest_is_one_of_sha256sum(opened, state):
    saved(opened, state, 3)
    checked = subprocess.run(
        ["sha256sum", "-c", "3.sha256"], cwd=opened.folder, capture_output=True, text=True
    )
    assert checked.returncode == 0
    assert checked.stdout.count(": OK") == len(manifest.files(opened.folder / "3")) > 3


def test_a_step_without_a_manifest_is_named_and_not_used(opened, state):
    saved(opened, state, 1, 2)
    (opened.folder / "2.sha256").unlink()
    said = []
    assert int(opened.restore_newest(abstract(state), said.append).step) == 1
    assert said == [
        f"{opened.folder / '2'}: there is no 2.sha256, so nothing vouches for it; "
        "step 2 is not used"
    ]


def test_when_no_checkpoint_can_be_used_nothing_is_deleted(opened, state):
    saved(opened, state, 1, 2)
    for step in (1, 2):
        (opened.folder / f"{step}.sha256").unlink()
    with pytest.raises(UserError, match="none of its 2 checkpoints can be used; the newest: .*/2:"):
        opened.restore_newest(abstract(state), print)
    assert opened.steps() == [1, 2]


def test_a_first_step_that_was_never_finished_is_as_none(opened, state, monkeypatch):
    monkeypatch.setattr(opened, "_finish", lambda folder: opened._orbax.wait_until_finished())
    saved(opened, state, 1)  # killed before it had its manifest
    said = []
    assert opened.restore_newest(abstract(state), said.append) is None
    assert said == [f"{opened.folder / '1'}: was not finished; step 1 is not used"]
    opened.drop_after(-1)
    assert list(opened.folder.iterdir()) == []


def test_an_older_step_goes_only_when_the_newer_is_sealed(opened, state, monkeypatch):
    saved(opened, state, 1, 2)
    reached, go_on, seal = threading.Event(), threading.Event(), manifest.seal

    def waiting(folder):
        reached.set()
        go_on.wait(10)
        seal(folder)

    monkeypatch.setattr(manifest, "seal", waiting)
    opened.save(at_step(state, 3))
    assert reached.wait(10)
    assert opened.steps() == [1, 2, 3]  # more than are kept, and step 3 is not to be trusted yet
    with pytest.raises(Damaged, match="was not finished"):
        Checkpoints(opened.folder, keep=2).restore(abstract(state), 3)
    go_on.set()
    opened.wait()
    assert opened.steps() == [2, 3]


def test_the_step_that_a_run_went_back_to_stays_until_a_newer_is_sealed(
    tmp_path, state, monkeypatch
):
    with contextlib.closing(Checkpoints(tmp_path, keep=2)) as checkpoints:
        saved(checkpoints, state, 1, 2)
    (tmp_path / "2.sha256").write_text("nonsense")
    with contextlib.closing(Checkpoints(tmp_path, keep=1)) as checkpoints:
        assert int(checkpoints.restore_newest(abstract(state), print).step) == 1
        checkpoints.drop_after(1)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "_finish", lambda folder: None)  # never sealed
            saved(checkpoints, state, 3, 4)
        assert_same_bits(checkpoints.restore_newest(abstract(state), print), at_step(state, 1))
        saved(checkpoints, state, 5)
        assert checkpoints.steps() == [5]


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_an_error_of_the_writing_surfaces_at_the_next_step(opened, state, monkeypatch, seconds):
    saved(opened, state, 1)
    done = threading.Event()

    def full(folder):
        done.wait(seconds)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "seal", full)
    opened.save(at_step(state, 2))
    opened.raise_errors()  # nothing is known yet, or it would wait
    with pytest.raises(UserError, match="2: could not be saved .*No space left.* intact"):
        for _ in range(100):
            done.wait(0.1)
            opened.raise_errors()
    opened.raise_errors()  # once is enough
    monkeypatch.undo()
    assert_same_bits(opened.restore_newest(abstract(state), print), at_step(state, 1))


def test_a_disk_that_is_full_at_once_loses_no_earlier_step(opened, state, monkeypatch):
    saved(opened, state, 1)

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opened._orbax, "save", full)
    with pytest.raises(UserError, match="could not be saved .*No space left.*steps are intact"):
        opened.save(at_step(state, 2))
        opened.wait()
    assert_same_bits(opened.restore_newest(abstract(state), print), at_step(state, 1))


KERNEL = "params/model/dense/kernel"
CHANGES = {
    "another type": (
        lambda kernel: kernel.astype(jnp.bfloat16),
        rf"{KERNEL} is float32 \[4, 2\] there, and this config makes it bfloat16 \[4, 2\]",
    ),
    "another shape": (
        lambda kernel: kernel[:3],
        rf"{KERNEL} is float32 \[4, 2\] there, and this config makes it float32 \[3, 2\]",
    ),
    "another name": (None, r"params/model/dense/weight is missing there, and this config makes it"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_arrays_than_the_configs_are_one_line_that_names_the_path(opened, state, change):
    saved(opened, state, 1)
    changed, message = CHANGES[change]
    dense = dict(state.params["model"]["dense"])
    kernel = dense.pop("kernel")
    dense |= {"weight": kernel} if changed is None else {"kernel": changed(kernel)}
    wanted = state.replace(params={"model": {"dense": dense}})
    with pytest.raises(UserError, match=message) as caught:
        opened.restore_newest(abstract(wanted), pytest.fail)  # not damage: no step is passed over
    assert "\n" not in str(caught.value) and str(opened.folder / "1") in str(caught.value)


def test_another_optimiser_is_named(opened, state):
    saved(opened, state, 1)
    wanted = first_state(system(ema=0.9))
    with pytest.raises(UserError, match="opt/main/.*/count is missing there"):
        opened.restore_newest(abstract(wanted), pytest.fail)


def test_what_a_kill_left_is_removed(opened, state):
    saved(opened, state, 1)
    (opened.folder / "2.orbax-checkpoint-tmp").mkdir()
    with files.atomic(opened.folder / "2.sha256") as temporary:
        (opened.folder / temporary.name.replace(".2.", ".3.")).touch()
    (opened.folder / "2.sha256").unlink()
    opened.drop_after(1)
    assert sorted(os.listdir(opened.folder)) == ["1", "1.sha256"]
