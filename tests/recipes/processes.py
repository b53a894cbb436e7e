"""What each process does that `test_processes.py` starts with `torchrun ... -m tests.recipes.processes JOB ...`.

`measure TWO ONE` repeats in several processes what the test did in one, and writes its figures into TWO. Anything else is a
command line of the companion, in which the language model reads a short text that needs no download.
"""

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from companion.__main__ import main
from companion.data.text import Text
from companion.recipes import RECIPES, Recipe, change, find, training
from companion.recipes.places import Place, enter
from companion.recipes.task import Data

STEPS = (1, 5)  # at which gradients are compared
TYPES = (torch.float32, torch.float64)
LETTERS = find("letters-to-phonemes")  # at its own size, with its dropout
SMALL = {"n_embedding": 8, "n_hidden": 24, "segment": 12, "batch": 6, "dropout": 0.2, "warmup": 5}
N_UPDATES = 20


@functools.cache
def text() -> Data:
    """A text of twelve characters that a model can learn a little of."""
    symbols = np.cumsum(np.random.default_rng(0).integers(0, 3, 6000)) % 12
    parts = Text(symbols[:5000], symbols[5000:5500], symbols[5500:], "abcdefghijkl")
    return Data(parts, tuple(parts.vocabulary), tuple(parts.vocabulary), "of a text for tests")


def language() -> Recipe:
    """The language model at a small size, with another text."""
    recipe = find("wikitext-2")
    task = recipe.task()._replace(load=text)
    own = SMALL | {"steps": N_UPDATES, "checkpoint_every": 4}
    return change(recipe, {name: str(value) for name, value in own.items()})._replace(task=lambda: task)


def gradients(recipe: Recipe, place: Place, dtype: torch.dtype) -> dict[str, Tensor]:
    """After each of some updates: the gradients, the loss of the whole batch, and the columns that this process saw."""
    run, found, seen = training.begin(recipe, 0, place), {}, []
    if dtype != torch.float32:
        run.module.to(dtype)
        run.model = DistributedDataParallel(run.module) if place.n_processes > 1 else run.module
    run.module.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    for step in range(1, max(STEPS) + 1):
        loss = place.sum(training.backward(run))
        if step in STEPS:
            found |= {f"{step}.{name}": p.grad.clone() for name, p in run.module.named_parameters()}
            found |= {f"loss.{step}": torch.tensor(loss), f"seen.{step}": seen[-1].contiguous()}
        training.update(run)
    return found


def trained(place: Place, folder: Path, until: int = N_UPDATES) -> dict[str, Tensor]:
    """Train the small language model in a folder, going on from what is there, and return its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    run = training.begin(language(), 0, place)
    training.settle(run, folder, resume=True)
    for _ in training.train(run, folder, lambda: run.step >= until):
        pass
    return {name: tensor.clone() for name, tensor in run.module.state_dict().items()}


def measure(place: Place, folder: Path) -> None:
    """Write gradients of both recipes, and the weights of runs: unbroken, stopped midway, and going on where another stopped."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, tensors: dict[str, Tensor]) -> None:
        safetensors.torch.save_file(tensors, folder / f"{name}-{place.rank}.safetensors")

    for recipe in (LETTERS, language()):
        for dtype in TYPES:
            keep(f"{recipe.name}-{dtype}", gradients(recipe, place, dtype))
    keep("whole", trained(place, folder / "whole"))
    trained(place, folder / "half", N_UPDATES // 2)
    if (folder / "others").exists():
        keep("others", trained(place, folder / "others"))


def watch(folder: Path) -> list[str]:
    """A list that grows with every file of the recipes' folders that this process makes, changes or removes from now on."""
    changed: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in ("os.rename", "os.remove"):
            path = Path(os.fsdecode(arguments[0])) if isinstance(arguments[0], str | bytes) else Path()
            if path.parent.parent == folder:
                changed.append(path.name)

    sys.addaudithook(note)
    return changed


def _several(folder: Path) -> None:
    torch.set_num_threads(1)
    changed = watch(folder)
    with enter("cpu") as place:
        measure(place, folder)
    (folder / f"changed-{place.rank}.json").write_text(json.dumps(changed))


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        _several(Path(sys.argv[2]))
    else:
        RECIPES["wikitext-2"] = language()
        sys.exit(main(sys.argv[1:]))
