"""The commands `train` and `evaluate`, and the recipes' part of `list`: what they print, and where it goes."""

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from companion.files import alone
from companion.recipes import RECIPES, change, find
from companion.recipes.settings import Recipe
from companion.recipes.shipped import folder_of, told

STOPPED = 130  # the exit status after Ctrl-C, as shells have it


def table() -> str:
    """Two lines for every recipe: its name and task; parameters, the time it took and the metric it reached."""
    from companion.recipes import checkpoint

    lines = []
    for recipe in RECIPES.values():
        folder = folder_of(recipe)
        made = told(recipe, checkpoint.read_header(folder / checkpoint.HEADER)) if folder.is_dir() else "no checkpoint"
        lines += [f"{recipe.name:<22} {recipe.title}", f"{'':<22} {made}"]
    return "".join(f"{line}\n" for line in lines)


def describe(recipe: Recipe) -> str:
    """A recipe with all its settings."""
    lines = [f"{recipe.name}: {recipe.title}; {recipe.metric}", ""]
    lines += [
        f"  {name} = {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in recipe.settings().items()
    ]
    return "\n".join(lines) + "\n\nChange any of them with --set NAME=VALUE.\n"


def train(
    name: str,
    settings: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
    out: Path | None = None,
    resume: bool = False,
) -> int:
    """Train a recipe into a folder and return the exit status: 0 at the last step, 130 after Ctrl-C.

    Raises ValueError for bad input, before anything is written.
    """
    recipe = change(find(name), dict(_pair(text) for text in settings))
    if seed < 0:
        raise ValueError(f"train: seed is {seed}, expected a whole number of at least 0")
    folder = out or Path("runs") / f"{name}-seed{seed}"
    _require_torch("train")
    from companion.recipes import checkpoint, places, training

    with places.enter(device, precision) as place:
        run = training.begin(recipe, seed, place)
        if place.writes:
            _make(folder)
        hold = alone(folder) if place.writes else contextlib.nullcontext()
        with hold, _stopped_by_signals(place.n_processes == 1) as stopped:
            before = checkpoint.read_header(folder / checkpoint.HEADER) if checkpoint.exists(folder) else {}
            # A restart goes on with what this call of torchrun began, and with nothing else.
            again = places.restarted() and before.get("launch") == places.launch()
            training.settle(run, folder, resume or again)
            if place.writes:
                _tell_changes(before, training.header_of(run))
            updates = training.train(run, folder, lambda: bool(stopped))
            for _ in _with_bar(updates, run) if place.writes else updates:
                pass
        if place.writes:
            _close(run, folder)
    return STOPPED if run.step < run.recipe.training.steps else 0


def evaluate(name: str, device: str = "auto") -> int:
    """Print the metric of a shipped checkpoint, or of one in a folder, on the held-out split."""
    _require_torch("evaluate")
    from companion.recipes import loading, places, training

    folder = folder_of(RECIPES[name]) if name in RECIPES else Path(name)
    if not (name and os.path.isdir(folder)):
        if name in RECIPES:
            raise ValueError(
                f"evaluate: no checkpoint of {name} comes with the package; train one, and give its folder"
            )
        known = ", ".join(RECIPES)
        raise ValueError(f"evaluate: {name!r:.80} is no folder and no recipe, expected a folder or one of: {known}")
    with places.enter(device) as place:
        recipe, module, header = loading.load_model(folder)
        task = recipe.task()
        data = task.load()
        loading.require_data(folder, header, data)
        value = training.measure(task, module.to(place.device), data.parts.test)
    print(f"{recipe.name}, seed {header['seed']}, step {header['step']}: {recipe.metric} on test data: {value:.4f}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"train: --set is {text!r}, expected key=value")
    return name, value


def _require_torch(command: str) -> None:
    for name in ("torch", "safetensors", "tqdm"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"{command}: {name} is not installed; `python -m companion doctor` says how to install it")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"train: cannot make the folder {folder}: {error.strerror}") from error


@contextlib.contextmanager
def _stopped_by_signals(watch: bool) -> Iterator[list[int]]:
    """A list that is empty until someone wants the run to end: Ctrl-C, or SIGTERM as a scheduler sends it.

    A second Ctrl-C ends it at once. Of several processes no one can stop alone: there the last checkpoint on disk counts.
    """
    received: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM) if watch else ()

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {name: signal.getsignal(name) for name in names}
    for name in names:
        signal.signal(name, note)
    try:
        yield received
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _with_bar(updates: Iterator[Any], run: Any) -> Iterator[Any]:
    """The updates, with a bar of how far they are, how long the rest will take, the loss and the metric."""
    from tqdm import tqdm

    with tqdm(total=run.recipe.training.steps, initial=run.step, unit="update", desc=run.recipe.name) as bar:
        for update in updates:
            bar.update()
            if update.loss is not None:
                bar.set_postfix({"loss": f"{update.loss:.3f}"} | {k: f"{v:.4f}" for k, v in update.metrics.items()})
            yield update


def _tell_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say what is not as it was when the checkpoint was written: then a run goes on, but not bit for bit."""
    there, here = ({**header.get("versions", {}), **header} for header in (before, now))
    names = [*now["versions"], "device", "processes", "threads"]
    changed = [
        f"{name} {there[name]}, now {here[name]}" for name in names if name in there and there[name] != here[name]
    ]
    if changed:
        text = f"The checkpoint was written with {'; '.join(changed)}: the run goes on, but not bit for bit as it would have."
        print(text, file=sys.stderr)


def _close(run: Any, folder: Path) -> None:
    from companion.recipes import logbook

    steps, metric = run.recipe.training.steps, run.recipe.metric
    if run.step < steps:
        print(f"Stopped after update {run.step} of {steps}; go on with the same command and --resume.", file=sys.stderr)
        return
    value = run.metrics["validation"]
    print(f"{run.recipe.name}, seed {run.seed}, step {run.step}: {metric} on validation data: {value:.4f}")
    try:
        figure = logbook.draw(folder, f"Did the loss of {run.recipe.name} settle?", metric)
    except ImportError:
        print(f"The checkpoint is in {folder}; the figure of its loss needs matplotlib.")
    else:
        print(f"The checkpoint is in {folder}, the figure of its loss in {figure}.")
