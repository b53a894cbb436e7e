"""The training loop: its rate, its first weights, its updates, what it refuses, and what it writes down."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.optim import adam, clip_by_norm
from companion.recipes import RECIPES, Recipe, change, checkpoint, logbook, training
from companion.recipes.loading import load_model
from companion.recipes.task import DROPOUT, Dropped, number_of
from tests.recipes.runs import SMALL as ANY_SIZE

SIZES = {"n_embedding": "3", "n_hidden": "4", "n_layers": "2", "dropout": "0.3", "steps": "40", "batch": "8"}
SIZES |= {"learning_rate": "0.02", "warmup": "5", "max_norm": "0.5", "evaluate_every": "15", "checkpoint_every": "4"}
SMALL = {name: change(ANY_SIZE[name], SIZES) for name in ("letters-to-phonemes", "wikitext-2")}
every_recipe = pytest.mark.parametrize("recipe", SMALL.values(), ids=SMALL)


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def train(run: training.Run, folder: Path) -> list[training.Progress]:
    training.settle(run, folder)
    return list(training.train(run, folder))


def weights(run: training.Run) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in run.module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- the rate


def test_rate_rises_in_a_line_under_half_a_cosine_that_falls_to_zero() -> None:
    recipe = change(SMALL["wikitext-2"], {"steps": "1000", "warmup": "50", "learning_rate": "0.02"})
    rates = [training.learning_rate(recipe, step) for step in range(1, 1001)]
    half_cosine = [0.01 * (1 + math.cos(math.pi * k / 1000)) for k in range(1000)]
    np.testing.assert_allclose(rates[49:], half_cosine[49:], rtol=1e-12)
    np.testing.assert_allclose(rates[:49], np.arange(1, 50) / 50 * half_cosine[:49], rtol=1e-12)
    highest = int(np.argmax(rates))
    assert highest == 49
    assert np.all(np.diff(rates[: highest + 1]) > 0)
    assert np.all(np.diff(rates[highest:]) < 0)
    assert 0.98 * 0.02 < rates[highest] <= 0.02
    assert 0 < rates[-1] < 1e-5 * 0.02


@pytest.mark.parametrize("warmup", ["1", "7", "1000"])
def test_rate_is_positive_and_never_above_the_highest(warmup: str) -> None:
    recipe = change(SMALL["wikitext-2"], {"steps": "7", "warmup": warmup})
    rates = [training.learning_rate(recipe, step) for step in range(1, 8)]
    assert all(0 < rate <= recipe.training.learning_rate for rate in rates)
    assert (rates[0] == recipe.training.learning_rate) == (warmup == "1")


# ---- the beginning


@every_recipe
def test_first_weights_depend_on_the_seed_alone(recipe: Recipe) -> None:
    first = weights(training.begin(recipe, 3))
    torch.rand(5)
    np.random.default_rng().random()
    assert same(weights(training.begin(recipe, 3)), first)
    other = weights(training.begin(recipe, 4))
    assert not any(torch.equal(first[name], other[name]) for name in first)


@every_recipe
def test_nothing_global_is_changed_by_a_run(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, recipe.name, recipe)

    def everything() -> list[Any]:
        legacy = np.random.get_state()  # noqa: NPY002
        settings = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
        return [torch.random.get_rng_state().tolist(), legacy[1].tolist(), legacy[2], settings]  # type: ignore[union-attr, index]

    before = everything()
    run = training.begin(change(recipe, {"steps": "12", "evaluate_every": "5"}))
    assert everything() == before
    train(run, tmp_path)
    logbook.draw(tmp_path, "Question?", "metric")
    load_model(tmp_path)
    assert everything() == before


@every_recipe
def test_model_is_loaded_whatever_the_default_type(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    run = training.begin(recipe, 1)
    training.save(run, tmp_path)
    torch.set_default_dtype(torch.float64)
    loaded = load_model(tmp_path)
    assert same(dict(loaded.module.state_dict()), weights(run))
    assert not loaded.module.training
    assert (loaded.recipe.settings(), loaded.header["seed"]) == (recipe.settings(), 1)


# ---- an update


@every_recipe
def test_gradients_are_those_of_the_mean_loss_in_float64(recipe: Recipe) -> None:
    run = training.begin(recipe, 2)
    for _ in range(4):
        carry = run.carry
        loss = training.backward(run)
        exact = recipe.task().build(recipe.model, len(run.data.inputs), len(run.data.outputs)).double().train()
        exact.load_state_dict(run.module.state_dict())
        batch = recipe.task().batch(recipe, run.data, 2, run.step + 1)
        size = batch.mask.shape[1]
        dropped = Dropped(torch.Generator().manual_seed(number_of(2, DROPOUT, run.step + 1)), size, slice(0, size))
        before = None if batch.starts or carry is None else carry.double()
        logits, after = exact(batch.inputs, batch.mask, before, dropped)
        expected = cross_entropy(logits[batch.mask], batch.targets[batch.mask])
        expected.backward()  # type: ignore[no-untyped-call]
        assert abs(loss - expected.item()) < 1e-6 * loss
        for name, parameter in exact.named_parameters():
            gradient = run.module.get_parameter(name).grad
            assert float((gradient - parameter.grad).norm()) < 1e-5 * float(parameter.grad.norm())
        assert (after is None) == (run.carry is None)
        if run.carry is not None:
            assert not run.carry.requires_grad
            torch.testing.assert_close(run.carry.double(), after, rtol=0, atol=1e-5)
        training.update(run)


@every_recipe
@pytest.mark.parametrize("max_norm", [1e-2, 1e2])
def test_updates_are_those_of_our_clipped_adam(recipe: Recipe, max_norm: float) -> None:
    run = training.begin(change(recipe, {"max_norm": str(max_norm)}), 2)
    ours = {name: parameter.detach().double().numpy() for name, parameter in run.module.named_parameters()}
    state: Any = adam().init(ours)
    for step in range(1, 6):
        training.backward(run)
        gradients = {name: p.grad.double().numpy() for name, p in run.module.named_parameters()}
        clipped, norm = clip_by_norm(gradients, max_norm)
        assert (norm > max_norm) == (max_norm < 1)
        training.update(run)
        ours, state = adam(training.learning_rate(run.recipe, step)).update(ours, clipped, state)
        for name, parameter in run.module.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), ours[name], rtol=0, atol=1e-5)
            assert {*run.optimizer.state[parameter]} == {"step", "exp_avg", "exp_avg_sq"}
        assert run.step == step


def test_with_amsgrad_an_update_divides_by_the_largest_mean_of_squares() -> None:
    settings = {"amsgrad": "true", "beta_2": "0.5", "max_norm": "100", "learning_rate": "0.1"}
    run, falls = training.begin(change(SMALL["letters-to-phonemes"], settings), 2), 0
    ours = {name: p.detach().double().numpy().copy() for name, p in run.module.named_parameters()}
    kept = {
        name: [np.zeros_like(p) for _ in range(3)] for name, p in ours.items()
    }  # both means, and the largest second one
    for step in range(1, 8):
        training.backward(run)
        rate = training.learning_rate(run.recipe, step)
        for name, parameter in run.module.named_parameters():
            gradient, (m, v, largest) = parameter.grad.double().numpy(), kept[name]
            m, v = 0.9 * m + 0.1 * gradient, 0.5 * v + 0.5 * gradient**2
            falls += int((v < 0.9 * largest).sum())
            kept[name] = m, v, largest = [m, v, np.maximum(v, largest)]
            ours[name] = ours[name] - rate * m / (1 - 0.9**step) / (np.sqrt(largest / (1 - 0.5**step)) + 1e-8)
        training.update(run)
        for name, parameter in run.module.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), ours[name], rtol=0, atol=1e-5)
            state = run.optimizer.state[parameter]
            assert {*state} == {"step", *training.averages(run.recipe)}
            np.testing.assert_allclose(state["max_exp_avg_sq"].numpy(), kept[name][2], rtol=1e-4, atol=1e-12)
    assert falls > 100, "the largest mean was always the last one"


@every_recipe
def test_loss_falls_and_the_metric_beats_the_first_weights(recipe: Recipe, tmp_path: Path) -> None:
    run = training.begin(change(recipe, {"n_hidden": "16", "n_embedding": "8", "steps": "100"}))
    if recipe.name == "letters-to-phonemes":
        words = run.data.parts
        easy = [part._replace(labels=np.where(part.letters, part.letters % 7, -1)) for part in words[:3]]
        run.data = run.data._replace(parts=words._replace(train=easy[0], validation=easy[1], test=easy[2]))
    before = training.evaluate(run, "test")
    losses = [update.loss for update in train(run, tmp_path) if update.loss is not None]
    assert losses[-1] < 0.8 * losses[0]
    gain = training.evaluate(run, "test") - before
    assert gain > 0.4 if recipe.name == "letters-to-phonemes" else gain < -1


@every_recipe
def test_evaluation_leaves_nothing_out_and_changes_nothing(recipe: Recipe) -> None:
    run = training.begin(change(recipe, {"dropout": "0.9"}))
    training.backward(run)  # from then on the module is in training mode
    before = weights(run)
    values = [training.evaluate(run, "validation") for _ in range(2)]
    assert values[0] == values[1]
    without = training.begin(change(recipe, {"dropout": "0"}))
    assert training.evaluate(without, "validation") == values[0]
    assert same(weights(run), before)


# ---- what it refuses


@every_recipe
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_stops_before_any_weight_changes(
    recipe: Recipe, value: float, tmp_path: Path
) -> None:
    run = training.begin(recipe, 11)
    training.settle(run, tmp_path)
    updates = training.train(run, tmp_path)
    for _ in range(6):
        next(updates)
    with torch.no_grad():
        run.module.output.bias[0] = value  # type: ignore[union-attr, index, operator]
    before, files = weights(run), {path: path.read_bytes() for path in tmp_path.iterdir()}
    averages = [run.optimizer.state[p]["exp_avg"].clone() for p in run.module.parameters()]
    with pytest.raises(ValueError, match=r"^train: .* is not finite at step 7; .*$") as caught:
        next(updates)
    assert f"the gradient of {recipe.name} with seed 11" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert run.step == 6
    for name, tensor in weights(run).items():
        assert np.array_equal(tensor.numpy(), before[name].numpy(), equal_nan=True)
    assert all(torch.equal(run.optimizer.state[p]["exp_avg"], a) for p, a in zip(run.module.parameters(), averages))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert checkpoint.read_header(tmp_path / checkpoint.HEADER)["step"] == 4


# ---- what it tells and writes


@every_recipe
def test_every_update_is_told_and_some_with_loss_and_metric(recipe: Recipe, tmp_path: Path) -> None:
    run = training.begin(change(recipe, {"steps": "34"}))
    seen = train(run, tmp_path)
    assert [update.step for update in seen] == list(range(1, 35))
    assert [update.step for update in seen if update.loss is not None] == [10, 20, 30, 34]
    assert [update.step for update in seen if update.metrics] == list(range(15, 35))
    assert seen[-1].metrics == run.metrics == {"validation": training.evaluate(run, "validation")}


@every_recipe
def test_logbook_has_one_object_a_line_with_steps_that_increase(recipe: Recipe, tmp_path: Path) -> None:
    seen = train(training.begin(change(recipe, {"steps": "34"})), tmp_path)
    lines = (tmp_path / logbook.NAME).read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert entries == logbook.read(tmp_path)
    assert [entry["step"] for entry in entries] == [10, 15, 20, 30, 34]
    kinds = {10: {"loss", "learning_rate"}, 15: {"validation"}, 34: {"loss", "learning_rate", "validation"}}
    assert all(set(entries[k]) == {"step"} | kinds[entries[k]["step"]] for k in (0, 1, 4))
    losses = {update.step: update.loss for update in seen if update.loss is not None}
    assert {entry["step"]: entry["loss"] for entry in entries if "loss" in entry} == losses


def test_line_that_is_half_written_is_no_entry_and_goes_when_the_run_goes_on(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        logbook.append(tmp_path, {"step": step, "loss": 1.5})
    whole = (tmp_path / logbook.NAME).read_bytes()
    for cut in range(1, len(whole) // 3):
        (tmp_path / logbook.NAME).write_bytes(whole[:-cut])
        assert [entry["step"] for entry in logbook.read(tmp_path)] == ([10, 20, 30] if cut == 1 else [10, 20])
    logbook.cut_back(tmp_path, 10)
    assert (tmp_path / logbook.NAME).read_bytes() == whole[: len(whole) // 3]
    assert logbook.read(tmp_path / "nowhere") == []


def test_figure_is_a_picture_of_both_curves(tmp_path: Path) -> None:
    run = training.begin(change(SMALL["wikitext-2"], {"steps": "20"}))
    train(run, tmp_path)
    path = logbook.draw(tmp_path, "Did the loss settle?", "bits a character")
    assert path == tmp_path / logbook.FIGURE
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert len(path.read_bytes()) > 10_000
    assert {p.name for p in tmp_path.iterdir() if p.suffix not in (".json", ".jsonl", ".safetensors")} == {"loss.png"}


def test_figure_of_a_run_that_has_no_entries_is_drawn_too(tmp_path: Path) -> None:
    assert logbook.draw(tmp_path, "Did the loss settle?", "bits a character").stat().st_size > 1000
