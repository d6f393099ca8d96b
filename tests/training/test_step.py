"""What a step promises: order, exactness, and nothing half done."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax.objectives.base import Aux, Term
from mmjax.training.optimiser import Schedule, Sgd
from mmjax.training.system import Update
from tests.harness import ADAM, SGD, assert_near, assert_same_bits, begin, mean, run
from tests.training.toy import Toy, batch, one_update, squared_errors, system


def players(ctx, batch, key, update):
    """Two linear maps that chase each other; each update's term is named after it."""
    first = ctx.apply("first", batch["x"], mutable=["counts"])[0]
    second = ctx.apply("second", batch["x"], mutable=["counts"])[0]
    gap = jnp.square(first - second - batch["y"])
    return {f"gap_{update}": Term(gap)}, Aux()


def two_players(first=None, second=None, **train):
    updates = {
        "first": Update(**{"optimiser": ADAM, "params": "first/.*"} | (first or {})),
        "second": Update(**{"optimiser": ADAM, "params": "second/.*", "order": 1} | (second or {})),
    }
    return system(Toy(players, ("first", "second")), updates, **train)


def gap_gradient(params, data, player):
    """The gradient of the mean gap with respect to one player, without the step."""

    def loss(own):
        dense = {**{k: v["dense"] for k, v in params.items()}, player: own}
        outputs = {k: data["x"] @ v["kernel"] + v["bias"] for k, v in dense.items()}
        return jnp.mean(jnp.square(outputs["first"] - outputs["second"] - data["y"]))

    return jax.grad(loss)(params[player]["dense"])


def test_one_step_is_one_step_of_gradient_descent():
    data = batch()
    (before, after), logged = run(system(), data)
    dense = before.params["model"]["dense"]

    def loss(dense):
        return jnp.mean(jnp.square(data["x"] @ dense["kernel"] + dense["bias"] - data["y"]))

    value, gradient = jax.value_and_grad(loss)(dense)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, dense, gradient)
    assert_near(after.params["model"]["dense"], expected)
    assert mean(logged, "loss/error") == pytest.approx(float(value), rel=1e-5)
    assert mean(logged, "loss/main/total") == pytest.approx(float(value), rel=1e-5)
    norm = float(optax.tree.norm(gradient))
    assert mean(logged, "gradient_norm/main") == pytest.approx(norm, rel=1e-5)
    assert after.step == 1 and after.mutable["model"]["counts"]["calls"] == 1
    assert float(after.objective) == pytest.approx(float(data["x"].sum()), rel=1e-4)


@pytest.mark.parametrize("per", ["token", "sample"])
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_equals_the_whole_batch_with_unequal_masks(parts, per):
    def terms(ctx, batch, key, update):
        terms, aux = squared_errors(ctx, batch, key, update)
        values = terms["error"].values
        small = Term(jnp.abs(values).mean(), weight=0.5)  # a scalar: the mean over the parts
        return {"error": Term(values, batch["mask"], per=per), "small": small}, aux

    data = batch(masked=True)
    counts = data["mask"].reshape(parts, -1).sum(-1)
    assert len(set(counts)) > 1, "equal counts would prove nothing"
    (_, whole), logged = run(system(Toy(terms)), data)
    (_, found), logged_parts = run(system(Toy(terms), accumulate=parts), data)
    assert_near(found.params, whole.params)
    assert_near(found.objective, whole.objective)
    assert found.mutable["model"]["counts"]["calls"] == parts  # each part follows on the last
    for name in ("loss/error", "loss/small", "loss/main/total"):
        assert mean(logged_parts, name) == pytest.approx(mean(logged, name), rel=1e-5)


def test_a_mean_over_parts_would_not_pass_that_test():
    data = batch(masked=True)
    (_, whole), _ = run(system(), data)
    halves = [{k: v[i * 4 : i * 4 + 4] for k, v in data.items()} for i in (0, 1)]
    moved = [run(system(), half)[0][1].params["model"]["dense"]["kernel"] for half in halves]
    with pytest.raises(AssertionError):
        assert_near((moved[0] + moved[1]) / 2, whole.params["model"]["dense"]["kernel"])


def test_updates_go_in_order_and_the_second_sees_what_the_first_did():
    data = batch()
    (before, after), _ = run(two_players({"optimiser": SGD}, {"optimiser": SGD}), data)

    def descended(params, player):
        gradient = gap_gradient(params, data, player)
        moved = jax.tree.map(lambda p, g: p - 0.1 * g, params[player]["dense"], gradient)
        return {**params, player: {"dense": moved}}

    expected = descended(descended(before.params, "first"), "second")
    assert_near(after.params, expected)
    together = descended(before.params, "second")["second"]
    with pytest.raises(AssertionError):
        assert_near(after.params["second"], together)


def test_an_update_that_is_not_due_leaves_every_bit():
    data = [batch(seed=seed) for seed in range(5)]
    states, _ = run(two_players(second={"every": 3}), *data)
    for step, (old, new) in enumerate(zip(states[:-1], states[1:], strict=True)):
        assert not np.array_equal(old.params["first"]["dense"]["kernel"],
                                  new.params["first"]["dense"]["kernel"])  # fmt: skip
        same = [
            np.array_equal(a, b)
            for a, b in zip(
                jax.tree.leaves((old.params["second"], old.opt["second"])),
                jax.tree.leaves((new.params["second"], new.opt["second"])),
                strict=True,
            )
        ]
        assert not any(same) if step % 3 == 0 else all(same)
    momentum = optax.tree.get(states[-1].opt["second"], "mu")["second/dense/kernel"]
    assert np.abs(momentum).max() > 0, "Adam's momentum would move a player whose gradient is zero"


def test_what_is_logged_of_an_update_that_is_not_due_counts_for_nothing():
    data = batch()
    _, logged = run(two_players(second={"every": 2}), data, data)
    assert logged["loss/gap_second"][1] == 0 and logged["loss/gap_first"][1] > 0


def test_repeat_takes_one_optimiser_step_on_each_part():
    data = batch()
    (_, after), logged = run(system(updates=one_update(optimiser=ADAM, repeat=4)), data)
    single = system(updates=one_update(optimiser=ADAM))
    parts = [{k: v[2 * i : 2 * i + 2] for k, v in data.items()} for i in range(4)]
    states, _ = run(single, *parts)
    assert_near(after.params, states[-1].params)
    assert_near(after.opt, states[-1].opt)
    assert after.step == 1 and states[-1].step == 4
    assert after.mutable["model"]["counts"]["calls"] == 4
    assert logged["loss/main/total"][1] == pytest.approx(4.0)


def spoiled(where):
    """Terms that go wrong in one place when the batch says so."""

    def terms(ctx, batch, key, update):
        terms, aux = squared_errors(ctx, batch, key, update)
        bad = jnp.where(batch["bad"].any(), jnp.nan, 0.0)
        if where == "term":
            terms["error"] = dataclasses.replace(
                terms["error"], values=terms["error"].values + jax.lax.stop_gradient(bad)
            )
        if where == "gradient":  # the square root's slope at zero times zero
            kernel = ctx.params["model"]["dense"]["kernel"]
            edge = jnp.sqrt(jnp.where(batch["bad"].any(), 0.0, 1.0) * jnp.abs(kernel[0, 0]))
            terms["edge"] = Term(edge)
        if where == "mutable":
            calls = aux.mutable["model"]["counts"]["calls"] + bad
            aux = dataclasses.replace(aux, mutable={"model": {"counts": {"calls": calls}}})
        if where == "objective":
            aux = dataclasses.replace(aux, state=aux.state + bad)
        return terms, aux

    return terms


def flagged(bad):
    return batch() | {"bad": np.full(8, bad)}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("where", ["term", "gradient", "mutable", "objective"])
def test_a_step_that_is_not_finite_is_withheld_whole(where, accumulate):
    parts = {"ema": 0.9, "accumulate": accumulate}
    toy = system(Toy(spoiled(where)), one_update(optimiser=ADAM), **parts)
    bads = [False, True, True, False, True]
    states, logged = run(toy, *map(flagged, bads))
    for old, new, bad in zip(states[:-1], states[1:], bads, strict=True):
        assert new.step == old.step + 1
        if bad:
            old = old.replace(step=new.step, bad_steps=new.bad_steps)
            assert_same_bits(new, old)
        else:
            assert not np.array_equal(new.ema["model/dense/kernel"], old.ema["model/dense/kernel"])
    counted = [tuple(map(int, state.bad_steps)) for state in states]
    assert counted == [(0, 0), (0, 0), (1, 1), (2, 2), (0, 2), (1, 3)]
    assert mean(logged, "bad_steps") == 1 and mean(logged, "bad_steps_in_a_row") == 1


@dataclasses.dataclass(frozen=True)
class Drift:
    """An optimiser that adds a constant, and multiplies a state that begins at one."""

    added: float
    factor: float = 1.0
    schedule: Schedule = Schedule(1.0)

    def build(self):
        def update(gradients, state, params):
            return filled(params, self.added), jax.tree.map(lambda x: x * self.factor, state)

        return optax.GradientTransformation(lambda params: filled(params, 1.0), update)


def filled(tree, value):
    return jax.tree.map(lambda x: jnp.full_like(x, value), tree)


@pytest.mark.parametrize(
    ("optimiser", "average", "good"),
    [(Sgd(Schedule(3e38)), None, 0), (Drift(0.0, 1e30), None, 1), (Drift(3e38), -3e38, 0)],
    ids=["a parameter", "the optimiser's state", "the moving average"],
)
def test_finite_gradients_whose_update_overflows_change_nothing(optimiser, average, good):
    toy = system(updates=one_update(optimiser=optimiser), ema=0.9 if average else 0.0)
    data = batch()
    data["y"] *= 100.0
    step, state = begin(toy, data)
    state = state.replace(params=filled(state.params, 0.0), ema=filled(state.ema, average))
    for _ in range(good):
        state, logged = step(state, data)
        assert mean(logged, "bad_steps") == 0
    for bad in (1, 2):
        held, logged = step(state, data)
        assert all(np.isfinite(total) for total, _ in logged.values())  # nothing else would tell
        assert tuple(map(int, held.bad_steps)) == (bad, bad)
        assert_same_bits(held, state.replace(step=held.step, bad_steps=held.bad_steps))
        state = held


def test_one_bad_update_withholds_the_others_too():
    def terms(ctx, batch, key, update):
        terms, aux = players(ctx, batch, key, update)
        bad = jnp.where(batch["bad"].any(), jnp.nan, 1.0)
        return ({k: Term(v.values * bad) for k, v in terms.items()}, aux) if (
            update == "second"
        ) else (terms, aux)  # fmt: skip

    toy = dataclasses.replace(two_players(), objective=Toy(terms, ("first", "second")))
    (_, good, held), _ = run(toy, flagged(False), flagged(True))
    assert_same_bits(held.params, good.params)
    assert_same_bits(held.opt, good.opt)


def test_the_moving_average_follows_its_formula():
    data = [batch(seed=seed) for seed in range(4)]
    states, _ = run(system(ema=0.2), *data)
    average = states[0].params["model"]["dense"]["kernel"]
    for index, state in enumerate(states[1:]):
        decay = min(0.2, (1 + index) / (10 + index))
        average = decay * average + (1 - decay) * state.params["model"]["dense"]["kernel"]
        np.testing.assert_allclose(state.ema["model/dense/kernel"], average, rtol=1e-5, atol=1e-6)


def test_without_a_decay_there_is_no_moving_average():
    assert run(system(), batch())[0][-1].ema == {}


def test_what_no_update_trains_keeps_every_bit_and_has_no_average():
    toy = system(
        Toy(players, ("first", "second")),
        {"first": Update(optimiser=ADAM, params="first/dense/kernel")},
        ema=0.9,
    )
    states, _ = run(toy, *[batch(seed=seed) for seed in range(3)])
    assert_same_bits(states[-1].params["second"], states[0].params["second"])
    assert_same_bits(states[-1].params["first"]["dense"]["bias"],
                     states[0].params["first"]["dense"]["bias"])  # fmt: skip
    assert set(states[-1].ema) == {"first/dense/kernel"}
    assert set(optax.tree.get(states[-1].opt["first"], "mu")) == {"first/dense/kernel"}


def test_prepare_has_no_gradient_and_runs_once():
    @dataclasses.dataclass(frozen=True)
    class Prepared(Toy):
        def prepare(self, ctx, batch, key):
            drawn = jax.random.normal(key, (8,))
            seen = ctx.apply("model", batch["x"], mutable=["counts"])[0]
            return {**batch, "y": batch["y"] + seen, "drawn": drawn}

    def terms(ctx, batch, key, update):
        predicted = ctx.apply("model", batch["x"], mutable=["counts"])[0]
        drawn = {f"drawn_{update}": batch["drawn"].sum()}
        return {update: Term(jnp.square(predicted - batch["y"]))}, Aux(metrics=drawn)

    updates = {"a": Update(optimiser=SGD), "b": Update(optimiser=SGD, order=1)}
    data = batch()
    (before, after), logged = run(system(Prepared(terms), {"a": updates["a"]}), data)
    dense = before.params["model"]["dense"]
    target = data["y"] + data["x"] @ dense["kernel"] + dense["bias"]
    gradient = jax.grad(
        lambda d: jnp.mean(jnp.square(data["x"] @ d["kernel"] + d["bias"] - target))
    )(dense)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, dense, gradient)
    assert_near(after.params["model"]["dense"], expected)
    logged = run(system(Prepared(terms), updates), data)[1]
    assert mean(logged, "drawn_a") == mean(logged, "drawn_b")


def test_two_updates_may_not_log_one_name():
    def terms(ctx, batch, key, update):
        return {"same": players(ctx, batch, key, update)[0][f"gap_{update}"]}, Aux()

    toy = dataclasses.replace(two_players(), objective=Toy(terms, ("first", "second")))
    with pytest.raises(ValueError, match="two updates log loss/same"):
        run(toy, batch())


def test_keys_differ_between_steps_and_between_updates():
    def terms(ctx, batch, key, update):
        terms, aux = players(ctx, batch, key, update)
        return terms, Aux(metrics={f"drawn_{update}": jax.random.uniform(key)})

    toy = dataclasses.replace(two_players(), objective=Toy(terms, ("first", "second")))
    data = batch()
    _, one = run(toy, data)
    _, two = run(toy, data, data)
    drawn = {mean(log, f"drawn_{name}") for log in (one, two) for name in ("first", "second")}
    assert len(drawn) == 4
    again = run(toy, data)[1]
    assert_same_bits(again, one)


def test_it_compiles_once_and_may_donate_its_state():
    toy = two_players(first={"repeat": 2}, second={"every": 2}, ema=0.9, accumulate=2)
    data = batch()
    step, state = begin(toy, data)
    traces = []

    def counted(state, batch):
        traces.append(state)
        return step(state, batch)

    donating = jax.jit(counted, donate_argnums=0)
    for _ in range(4):
        state, _ = donating(state, data)
    assert len(traces) == 1 and int(state.step) == 4
