"""PyTorch twins: files and parameters with the names of the NumPy code, and gradients from autograd.

`copy_params` carries NumPy parameters into a twin, name by name.
"""

from typing import Any

import torch
from torch import nn

from companion.tree import Tree, tree_items, tree_map


def copy_params(params: Any, module: nn.Module) -> None:
    """Copy a tree of NumPy parameters into the parameters of the same names: `layers.0.W` into `module.layers[0].W`.

    Raises ValueError when the names or shapes differ; then nothing was copied.
    """
    targets = dict(module.named_parameters())
    received = {name: tuple(array.shape) for name, array in tree_items(params)}
    expected = {name: tuple(parameter.shape) for name, parameter in targets.items()}
    if received != expected:
        raise ValueError(f"copy_params: params has {received}, expected {expected}")
    tensors = {
        name: torch.tensor(array.copy()) for name, array in tree_items(params)
    }  # all of them, before any is copied
    with torch.no_grad():
        for name, tensor in tensors.items():
            targets[name].copy_(tensor)


def grads_like(params: Tree, module: nn.Module) -> Tree:
    """The gradients of a twin after `backward()`, as a NumPy tree like `params`.

    Raises ValueError when a parameter has no gradient.
    """
    targets = dict(module.named_parameters())
    names = iter([name for name, _ in tree_items(params)])

    def gradient(_: Any) -> Any:
        name = next(names)
        value = targets[name].grad
        if value is None:
            raise ValueError(f"grads_like: {name} has no gradient, expected a call of backward() before")
        return value.numpy().copy()

    return tree_map(gradient, params)
