"""Training a recipe: update after update, with checkpoints from which a run goes on as if it had never stopped.

A run is its step, the weights, Adam's averages, the state that a text hands on from batch to batch, and, in float16, the scale
of the loss. Everything random is a function of the seed and the step (`task.py`), so that there is nothing more to keep.
With several processes each takes its columns of the same batch, and DistributedDataParallel averages the gradients: the loss
of each is divided by the targets of all and multiplied by the number of processes, so the average is the gradient of one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from companion.recipes import checkpoint
from companion.recipes.loading import build, require_same_run, require_tensors, set_weights, versions
from companion.recipes.logbook import append, cut_back
from companion.recipes.places import Place, launch
from companion.recipes.settings import Recipe
from companion.recipes.task import DROPOUT, Data, Dropped, Task, number_of

LOG_EVERY = 10  # updates
LEAST_SCALE = 1e-3  # of the loss in float16; it starts at 65,536 and is halved at each overflow


@dataclass
class Run:
    """A run in the middle: what changes from update to update, and what it needs to know."""

    recipe: Recipe
    seed: int
    place: Place
    task: Task
    data: Data
    module: nn.Module  # the weights
    model: nn.Module  # what is called: the module, or DistributedDataParallel around it
    optimizer: torch.optim.Adam
    scaler: torch.amp.GradScaler
    step: int = 0
    carry: Tensor | None = None  # (L, B, H) of this process's columns
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # of training, without what was lost when it was killed


class Progress(NamedTuple):
    """One update of `train`."""

    step: int
    loss: float | None  # a target, over the whole batch; every LOG_EVERY updates, otherwise None
    metrics: dict[str, float]  # "validation" once it has been evaluated
    module: nn.Module


def begin(recipe: Recipe, seed: int = 0, place: Place = Place()) -> Run:  # noqa: B008
    """A run at step 0, whose first weights are drawn from the seed."""
    place.columns(recipe.training.batch)  # before anything is loaded: whether it can be shared out
    task = recipe.task()
    if place.writes:
        task.load()  # one process fetches what has to be fetched, and the others wait for it
    place.sum(0.0)
    data = task.load()
    task.batch(recipe, data, seed, 1)  # raises where there is too little data for one
    module = build(recipe, len(data.inputs), len(data.outputs), seed).to(place.device)
    model = DistributedDataParallel(module) if place.n_processes > 1 else module
    settings = recipe.training
    betas = (0.9, settings.beta_2)
    optimizer = torch.optim.Adam(module.parameters(), settings.learning_rate, betas, amsgrad=settings.amsgrad)
    scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision == "float16")
    return Run(recipe, seed, place, task, data, module, model, optimizer, scaler)


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of update 1, 2, ...: half a cosine down to zero after `hold`, times a line up over the first `warmup`."""
    training = recipe.training
    rise = min(1.0, step / training.warmup)
    held = training.hold * training.steps
    fallen = max(0.0, step - 1 - held) / (training.steps - held)
    return training.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * fallen))


def averages(recipe: Recipe) -> tuple[str, ...]:
    """What PyTorch's Adam keeps of each parameter, beside its step."""
    return ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if recipe.training.amsgrad else []))


def backward(run: Run) -> float:
    """The gradients of the next update, averaged over the processes, and this process's share of the loss."""
    run.module.train()
    batch = run.task.batch(run.recipe, run.data, run.seed, run.step + 1)
    columns = run.place.columns(batch.mask.shape[1])
    generator = torch.Generator().manual_seed(number_of(run.seed, DROPOUT, run.step + 1))
    dropped = Dropped(generator, batch.mask.shape[1], columns)
    inputs, targets, mask = (part[:, columns].to(run.place.device) for part in batch[:3])
    carry = None if batch.starts else run.carry
    run.optimizer.zero_grad()
    try:
        with run.place.autocast():
            logits, carry = run.model(inputs, mask, carry, dropped)
    except ValueError as error:  # such as an NTM's, of numbers that are not finite
        at = f"{run.recipe.name} with seed {run.seed} at step {run.step + 1}"
        raise ValueError(f"train: the model of {at} refuses: {error}") from error
    loss = run.task.loss(logits[mask].float(), targets[mask]) / batch.mask.sum()
    scaled: Any = run.scaler.scale(loss * run.place.n_processes)
    scaled.backward()
    run.carry = None if carry is None else carry.detach()
    return loss.item()


def update(run: Run) -> None:
    """Take the step that the gradients ask for; raises ValueError, before any weight is spoiled, where they are not finite."""
    rate = learning_rate(run.recipe, run.step + 1)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.scaler.unscale_(run.optimizer)
    norm = nn.utils.clip_grad_norm_(run.module.parameters(), run.recipe.training.max_norm)
    # In float16 an overflow now and then is the rule: the scaler leaves out such an update, and lowers its scale.
    if not run.scaler.is_enabled() and not math.isfinite(norm):
        raise ValueError(
            f"train: the gradient of {run.recipe.name} with seed {run.seed} is not finite at step {run.step + 1}; "
            "lower learning_rate"
        )
    run.scaler.step(run.optimizer)
    run.scaler.update()
    if run.scaler.get_scale() < LEAST_SCALE:
        raise ValueError(
            f"train: in float16 the loss of {run.recipe.name} overflows at any scale at step {run.step + 1}"
        )
    run.step += 1


def evaluate(run: Run, part: str) -> float:
    """The recipe's metric on "validation" or "test", or on "train" where the task has such a part."""
    return measure(run.task, run.module, getattr(run.data.parts, part))


def measure(task: Task, module: nn.Module, part: Any) -> float:
    """A task's metric of a module, without dropout and without gradients."""
    module.eval()
    with torch.no_grad():
        return task.evaluate(module, part)


def settle(run: Run, folder: Path, resume: bool = False) -> None:
    """Make an existing folder the run's: write its first checkpoint, or, with `resume`, go on from the one that is there.

    Raises ValueError, and leaves the folder as it is, when that holds a run and `resume` is False, or a run of something else.
    """
    # One process looks, and all hear of it before it writes: else another might find what was not there before.
    there = run.place.sum(float(run.place.writes and checkpoint.exists(folder)))
    if there and not resume:
        raise ValueError(f"train: {folder} already holds a run; give --resume to go on with it, or another --out")
    if there:
        restore(run, folder)
    else:
        save(run, folder)


def train(run: Run, folder: Path, stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Train to the last step, yielding after every update, with checkpoints and a logbook in a folder settled before.

    After an update at which `stop()` is True it writes a checkpoint and ends.
    """
    training = run.recipe.training
    while run.step < training.steps:
        started = time.perf_counter()
        try:
            loss = backward(run)
            update(run)
        except ValueError as error:
            raise ValueError(f"{error}; {folder}: {checkpoint.last_good(folder)}") from error
        entry: dict[str, Any] = {}
        if run.step % LOG_EVERY == 0 or run.step == training.steps:
            entry |= {"loss": run.place.sum(loss), "learning_rate": learning_rate(run.recipe, run.step)}
        if run.place.writes and (run.step % training.evaluate_every == 0 or run.step == training.steps):
            run.metrics = {"validation": evaluate(run, "validation")}
            entry |= run.metrics
        run.seconds += time.perf_counter() - started
        if entry and run.place.writes:
            append(folder, {"step": run.step, **entry})
        stopped = stop()
        if stopped or run.step % training.checkpoint_every == 0 or run.step == training.steps:
            save(run, folder)
        yield Progress(run.step, entry.get("loss"), run.metrics, run.module)
        if stopped:
            return


def header_of(run: Run) -> dict[str, Any]:
    """What a checkpoint says of the run that made it."""
    return {
        "recipe": run.recipe.name,
        "seed": run.seed,
        "step": run.step,
        "settings": run.recipe.settings(),
        "precision": run.place.precision,
        "inputs": list(run.data.inputs),
        "outputs": list(run.data.outputs),
        "data_sha256": run.data.sha256,
        "metrics": run.metrics,
        "seconds": run.seconds,
        "versions": versions(),
        "device": str(run.place.device),
        "processes": run.place.n_processes,
        "launch": launch(),
        "threads": torch.get_num_threads(),
    }


def save(run: Run, folder: Path) -> None:
    """Write the run's checkpoint; all processes call it, one writes."""
    carry = None if run.carry is None else run.place.together(run.carry)
    if not run.place.writes:
        return
    tensors = {f"model.{name}": tensor for name, tensor in run.module.state_dict().items()}
    for name, parameter in run.module.named_parameters():
        for key, tensor in run.optimizer.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = tensor
    if carry is not None:
        tensors["carry"] = carry
    tensors |= {f"scaler.{key}": torch.tensor(value) for key, value in run.scaler.state_dict().items()}
    checkpoint.write(folder, header_of(run), tensors)


def restore(run: Run, folder: Path) -> None:
    """Put a run where the folder's checkpoint is; raises ValueError when that is of another run, or not whole."""
    header, tensors = checkpoint.read(folder)
    require_same_run(folder, header, header_of(run))
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("model.")}
    # In float16 Adam may not have come to its first step yet.
    stepped = header["step"] > 0 and (not run.scaler.is_enabled() or any(name.startswith("adam.") for name in kept))
    require_tensors(folder, kept, _expected(run, header["step"], stepped))
    set_weights(folder, run.module, tensors)
    if stepped:
        for name, parameter in run.module.named_parameters():
            saved = {key: tensors[f"adam.{key}.{name}"] for key in ("step", *averages(run.recipe))}
            # The averages are where the parameter is; Adam counts on the CPU.
            moved = {key: saved[key].to(parameter.device, copy=True) for key in averages(run.recipe)}
            run.optimizer.state[parameter] = saved | moved
    if "carry" in tensors:
        columns = run.place.columns(run.recipe.training.batch)
        run.carry = tensors["carry"][:, columns].to(run.place.device, copy=True)
    run.scaler.load_state_dict({key: tensors[f"scaler.{key}"].item() for key in run.scaler.state_dict()})
    run.step, run.metrics, run.seconds = header["step"], header["metrics"], header["seconds"]
    if run.place.writes:
        checkpoint.tidy(folder)
        cut_back(folder, run.step)


def _expected(run: Run, step: int, stepped: bool) -> dict[str, Tensor]:
    """Tensors of the shapes and types that a checkpoint of this run has besides the weights."""
    like = {f"scaler.{key}": torch.tensor(value) for key, value in run.scaler.state_dict().items()}
    if not step:
        return like
    for name, parameter in run.module.named_parameters() if stepped else ():
        like |= {f"adam.{key}.{name}": parameter for key in averages(run.recipe)}
        like[f"adam.step.{name}"] = torch.tensor(0.0)
    batch = run.task.batch(run.recipe, run.data, run.seed, step)
    with torch.no_grad(), run.place.autocast():
        _, carry = run.module(batch.inputs.to(run.place.device), batch.mask.to(run.place.device))
    return like if carry is None else like | {"carry": carry}
