"""The recipes of the algorithmic tasks: what they train on, what they are measured by, and the machine by both of its ways."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion.data import algorithmic as tasks
from companion.recipes import MachineModel, StackedModel, algorithmic, change, training
from companion.recipes.algorithmic import Machine, StackedLSTM
from tests.recipes.runs import SMALL

NAMES = ("copy", "repeat-copy", "associative-recall", "n-grams", "priority-sort")
ALGORITHMS = {
    "copy": algorithmic.COPY,
    "repeat-copy": algorithmic.REPEAT_COPY,
    "associative-recall": algorithmic.ASSOCIATIVE_RECALL,
    "n-grams": algorithmic.NGRAMS,
    "priority-sort": algorithmic.PRIORITY_SORT,
}
MACHINES = {
    "LSTM": MachineModel(n_hidden=5, rows=7, width=4),
    "feedforward, several heads": MachineModel(
        n_hidden=5,
        controller="feedforward",
        rows=7,
        width=4,
        read_heads=2,
        write_heads=3,
        shift_range=2,
    ),
    "learned start": MachineModel(n_hidden=5, rows=7, width=4, learned_start=True),
}


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


# --- data


@pytest.mark.parametrize("name", NAMES)
def test_an_update_is_a_function_of_seed_and_step(name: str) -> None:
    task, recipe = algorithmic.TASKS[name], change(SMALL["copy"], {"batch": "3"})
    data = task.load()
    first, again, later, other = (task.batch(recipe, data, *at) for at in ((0, 5), (0, 5), (0, 6), (1, 5)))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, again.targets)
    for differs in (later, other):
        assert first.inputs.shape != differs.inputs.shape or not torch.equal(first.inputs, differs.inputs)
    assert first.inputs.dtype == first.targets.dtype == torch.float32
    assert first.mask.dtype == torch.bool
    assert first.inputs.shape[1] == 3
    assert first.starts


@pytest.mark.parametrize("name", ["copy", "repeat-copy", "associative-recall", "priority-sort"])
def test_no_training_sees_what_the_test_asks_for(name: str) -> None:
    algorithm, rng = ALGORITHMS[name], np.random.default_rng(0)
    lengths = {len(algorithm.draw(rng, 1, rng.random()).xs) for _ in range(2000)}
    tested = [len(draw(rng, 1).xs) for draw in algorithm.test]
    assert min(tested) > max(lengths)
    for draw in algorithm.validation:
        assert len(draw(rng, 1).xs) in lengths


def test_copy_trains_on_every_length_from_1_to_20_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    lengths = [(len(algorithmic.COPY.draw(rng, 1, 0.5).xs) - 1) // 2 for _ in range(4000)]
    counts = np.bincount(lengths, minlength=21)
    assert counts[0] == 0
    assert len(counts) == 21
    assert counts[1:].min() > 130  # 200 are expected


def steps_at(name: str, done: float, count: int) -> set[int]:
    """How many steps the episodes of updates have at this share of the training."""
    rng = np.random.default_rng(0)
    return {len(ALGORITHMS[name].draw(rng, 1, done).xs) for _ in range(count)}


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("n-grams", {0: 20 - 1, 0.2: 110 - 1, 0.3: 155 - 1, 0.45: 200 - 1, 1: 200 - 1}),
        # Vectors, the delimiter, and answers.
        ("priority-sort", {0: 2 + 1 + 2, 0.2: 11 + 1 + 9, 0.45: 20 + 1 + 16, 0.5: 20 + 1 + 16, 1: 20 + 1 + 16}),
    ],
)
def test_sequences_grow_while_a_run_trains(name: str, steps: dict[float, int]) -> None:
    assert {done: steps_at(name, done, 3) for done in steps} == {done: {number} for done, number in steps.items()}
    lengths = [max(steps_at(name, done, 1)) for done in np.linspace(0, 1, 201)]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 15


def test_those_of_an_update_are_as_far_as_its_step() -> None:
    task, recipe = algorithmic.TASKS["n-grams"], change(SMALL["copy"], {"steps": "1000", "batch": "2"})
    assert [len(task.batch(recipe, task.load(), 0, step).inputs) for step in (1, 200, 1000)] == [19, 109, 199]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_validated_on_lengths_that_the_end_of_its_training_draws(name: str) -> None:
    drawn, rng = steps_at(name, 1, 2000 if name != "n-grams" else 20), np.random.default_rng(0)
    assert {len(draw(rng, 1).xs) for draw in ALGORITHMS[name].validation} <= drawn


@pytest.mark.parametrize("name", NAMES)
def test_evaluated_episodes_are_always_the_same_and_differ_between_the_parts(name: str) -> None:
    first, again = (algorithmic.load(ALGORITHMS[name]) for _ in range(2))
    assert first.sha256 == again.sha256
    assert len(first.inputs) == first.parts.test[0].xs.shape[2]
    assert len(first.outputs) == first.parts.test[0].targets.shape[2]
    for part in first.parts:
        for episodes in part:
            assert episodes.xs.dtype == np.float32
            assert episodes.xs.shape[1] == algorithmic.SEQUENCES
    assert not np.array_equal(first.parts.validation[0].xs, first.parts.test[0].xs)


# --- models


def by_autograd(module: Machine, inputs: Any) -> Any:
    """Logits by PyTorch's own operations, as on a device without a fast layer."""
    ys, _ = module.machine.run(inputs, module.initial_state(inputs.shape[1], module.settings.rows))
    return module.output(ys)


@pytest.mark.parametrize("settings", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_fast_layer_and_autograd_agree_in_outputs_and_all_gradients(settings: MachineModel, dtype: Any) -> None:
    torch.manual_seed(3)
    module, inputs = Machine(settings, 4, 3).to(dtype), torch.randn(9, 2, 4, dtype=dtype, requires_grad=True)
    upstream = torch.randn(9, 2, 3, dtype=dtype)
    results = []
    for run in (lambda: module(inputs)[0], lambda: by_autograd(module, inputs)):
        tensors = {"xs": inputs, **dict(module.named_parameters())}
        logits = run()
        gradients = torch.autograd.grad((logits * upstream).sum(), list(tensors.values()))
        results.append({"logits": logits.detach()} | dict(zip(tensors, gradients, strict=True)))
    fast, slow = results
    for name, expected in slow.items():
        largest = float(expected.abs().max())
        assert largest > 1e-6, f"{name} is nearly zero, so that nothing was compared"
        error = float((fast[name] - expected).abs().max()) / largest
        assert error < (1e-10 if dtype == torch.float64 else 1e-4), name


def test_weights_that_change_before_the_way_back_are_an_error() -> None:
    module = Machine(MACHINES["LSTM"], 4, 3)
    loss = module(torch.ones(5, 2, 4))[0].sum()
    with torch.no_grad():
        module.machine.W_z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_machine_under_autocast_is_that_of_autograd() -> None:
    torch.manual_seed(3)
    module, inputs = Machine(MACHINES["LSTM"], 4, 3), torch.randn(5, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        logits, carry = module(inputs)
    assert logits.dtype == torch.bfloat16
    assert carry is None
    np.testing.assert_allclose(logits.detach().float().numpy(), module(inputs)[0].detach().numpy(), atol=0.05)


def test_heads_start_at_row_0_unless_their_start_is_learned() -> None:
    names = {name for name, _ in Machine(MACHINES["LSTM"], 4, 3).named_parameters()}
    learned = {name for name, _ in Machine(MACHINES["learned start"], 4, 3).named_parameters()}
    assert learned - names == {"start"}


def test_a_stack_of_lstms_runs_from_step_to_step() -> None:
    torch.manual_seed(0)
    module, inputs = StackedLSTM(StackedModel(n_hidden=6, n_layers=2), 4, 3), torch.randn(5, 2, 4)
    changed = inputs.clone()
    changed[3] += 1
    first, second = module(inputs)[0], module(changed)[0]
    assert first.shape == (5, 2, 3)
    assert torch.equal(first[:3], second[:3])
    assert not torch.equal(first[4], second[4])


# --- metrics


class Says(nn.Module):
    """A model that says the same probability of 1, or what a function of the inputs says."""

    def __init__(self, say: Any) -> None:
        super().__init__()
        self.say, self.weight = say, nn.Parameter(torch.zeros(()))

    def forward(self, inputs: Any) -> tuple[Any, None]:
        return self.say(inputs), None


def test_wrong_bits_are_counted_in_each_set_and_averaged() -> None:
    sets = algorithmic.load(algorithmic.COPY).parts.validation
    ones = [float(episodes.targets.sum()) / episodes.targets.shape[1] for episodes in sets]
    silent = Says(lambda inputs: -torch.ones(*inputs.shape[:2], 8))
    assert algorithmic.wrong_bits(silent, sets) == pytest.approx(np.mean(ones))


def test_the_best_predictor_is_at_1_and_a_coin_above_it() -> None:
    sets = algorithmic.load(algorithmic.NGRAMS).parts.validation

    def best(inputs: Any) -> Any:
        return torch.logit(torch.from_numpy(tasks.optimal_ngrams(inputs.numpy())))

    assert algorithmic.over_optimum(Says(best), sets) == pytest.approx(1, abs=1e-5)
    coin = algorithmic.over_optimum(Says(torch.zeros_like), sets)
    assert 1.3 < coin < 1.7
    losses = []
    for episodes in sets:
        p = tasks.optimal_ngrams(episodes.xs)[episodes.mask]
        t = episodes.targets[episodes.mask]
        losses.append(-np.log(np.where(t == 1, p, 1 - p)).mean())
    assert coin == pytest.approx(np.mean([math.log(2) / loss for loss in losses]), rel=1e-4)


def test_the_loss_of_an_update_is_the_mean_over_all_bits_that_are_asked_for() -> None:
    run = training.begin(change(SMALL["copy"], {"tight_memory": "false"}))
    batch = run.task.batch(run.recipe, run.data, 0, 1)
    logits = run.module(batch.inputs)[0][batch.mask].double()
    targets = batch.targets[batch.mask].double()
    p = torch.sigmoid(logits)
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean().item()
    assert training.backward(run) == pytest.approx(expected, rel=1e-5)


# --- what cannot be trained


def test_numbers_that_are_not_finite_stop_a_run_with_step_seed_and_last_checkpoint(tmp_path: Any) -> None:
    run = training.begin(SMALL["copy"], seed=3)
    training.settle(run, tmp_path)
    updates = training.train(run, tmp_path)
    for _ in range(5):
        next(updates)
    with torch.no_grad():
        run.module.machine.W_z[0, 0] = float("nan")  # type: ignore[union-attr, index, operator]
    with pytest.raises(ValueError, match=r"copy with seed 3 at step 6 .*last good checkpoint is that of step 4$"):
        next(updates)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("controller", "gru", "controller is 'gru', expected one of: lstm, feedforward"),
        ("rows", "0", "rows is 0, expected a whole number of at least 1"),
        ("shift_range", "-1", "shift_range is -1, expected a whole number of at least 0"),
        ("learned_start", "yes", "learned_start is 'yes', expected true or false"),
        ("learned_start", "true", "learned_start is true, expected false with tight_memory"),
        ("shift_range", "2", "shift_range is 2, expected at most 1 with tight_memory"),
        ("gate_bias", "nan", "gate_bias is nan, expected a number"),
    ],
)
def test_settings_that_no_machine_has_are_refused(setting: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(SMALL["copy"], {setting: value})


def test_a_shift_range_wider_than_the_memory_is_refused_when_the_machine_is_built() -> None:
    with pytest.raises(ValueError, match="shift_range is 4, expected at most 3 with 8 rows"):
        training.begin(change(SMALL["copy"], {"shift_range": "4", "rows": "8", "tight_memory": "false"}))
