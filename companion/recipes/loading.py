"""From a checkpoint back to a model, once it is clear that the one belongs to the other."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import torch
from torch import Tensor, nn

import companion
from companion.recipes import RECIPES, Recipe, checkpoint
from companion.recipes.settings import with_settings
from companion.recipes.task import WEIGHTS, number_of

# What must be the same in a checkpoint and in the run that goes on from it.
SAME = ("recipe", "seed", "precision", "data_sha256")


class Loaded(NamedTuple):
    """A model that a recipe made."""

    recipe: Recipe  # with the settings that it was trained with
    module: nn.Module  # in evaluation mode, on the CPU
    header: dict[str, Any]  # seed, step, metrics, inputs and outputs, versions


def load_model(folder: Path) -> Loaded:
    """The model in a folder's checkpoint; it needs none of the data.

    Raises ValueError when the checkpoint is not whole, or of a recipe, a version or a size that is not known here.
    """
    header, tensors = checkpoint.read(folder)
    if header["recipe"] not in RECIPES:
        raise ValueError(f"{folder} has a checkpoint of {header['recipe']!r}, expected one of: {', '.join(RECIPES)}")
    recipe = _recipe(folder, header)
    module = build(recipe, len(header["inputs"]), len(header["outputs"]))
    set_weights(folder, module, tensors)
    return Loaded(recipe, module.eval(), header)


def build(recipe: Recipe, n_in: int, n_out: int, seed: int = 0) -> nn.Module:
    """A recipe's model with its first weights, on the CPU; the generators of PyTorch are left as they were.

    Raises ValueError when there is no memory for it.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(number_of(seed, WEIGHTS))
        try:
            module: nn.Module = recipe.task().build(recipe.model, n_in, n_out)
            return module.float()
        except (MemoryError, OverflowError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"recipe {recipe.name}: PyTorch cannot make a {recipe.model} ({reason})") from error


def require_same_run(folder: Path, header: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raise ValueError, naming what differs, when a checkpoint is not of this run."""
    _require_equal(folder, {name: header.get(name) for name in SAME}, {name: run[name] for name in SAME})
    # What an older version did not have yet is as it was then.
    _require_equal(folder, _recipe(folder, header).settings(), run["settings"])
    require_vocabulary(folder, header, run)


def _recipe(folder: Path, header: Mapping[str, Any]) -> Recipe:
    """The recipe with the settings in a header."""
    try:
        return with_settings(RECIPES[header["recipe"]], header["settings"])
    except ValueError as error:
        raise ValueError(f"the checkpoint in {folder} cannot be used: {error}") from error


def _require_equal(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in here:
        if there[name] != here[name]:
            raise ValueError(
                f"the checkpoint in {folder} has {name} {there[name]!r}, expected {here[name]!r}: it is of another run; "
                "to go on with one, give the options that it was started with"
            )


def require_data(folder: Path, header: Mapping[str, Any], data: Any) -> None:
    """Raise ValueError when the data that is here is not what a model was trained on."""
    require_vocabulary(folder, header, {"inputs": data.inputs, "outputs": data.outputs})
    if header["data_sha256"] != data.sha256:
        raise ValueError(
            f"the checkpoint in {folder} was trained on other data: SHA-256 {header['data_sha256'][:12]}..., here "
            f"{data.sha256[:12]}...; expected the same version of the package that the data is from"
        )


def require_vocabulary(folder: Path, header: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raise ValueError when a model reads or predicts other symbols than the data has, or in another order."""
    for name in ("inputs", "outputs"):
        there, here = list(header[name]), list(run[name])
        if there != here:
            pairs = enumerate(zip_longest(there, here))
            k, (a, b) = next((k, pair) for k, pair in pairs if pair[0] != pair[1])
            raise ValueError(
                f"the checkpoint in {folder} has another vocabulary: {len(there)} {name}, expected {len(here)}; "
                f"the first that differs is number {k}, {a!r}, expected {b!r}"
            )


def set_weights(folder: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors "model.*" into a module; raises ValueError when a name, shape or dtype does not fit, and copies none."""
    targets = {f"model.{name}": tensor for name, tensor in module.state_dict().items()}
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    require_tensors(folder, weights, targets)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(weights[name])


def require_tensors(folder: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError, naming the first that differs, unless tensors have the names, shapes and dtypes expected."""
    for name in {**expected, **tensors}:
        there, here = _told(tensors.get(name)), _told(expected.get(name))
        if there != here:
            raise ValueError(f"the checkpoint in {folder} has for {name} {there}, expected {here}")


def _told(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def versions() -> dict[str, str]:
    """What a result depends on."""
    return {
        "companion": companion.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }
