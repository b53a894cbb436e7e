"""Each stage of addressing, reading and writing as a pair with random inputs, and its check by central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion import addressing
from companion.gradcheck import GradientReport, check_gradients
from companion.ops import softmax
from tests.contract.cells import compared

B, K, N, M, REACH = 3, 2, 7, 4, 2  # batch, heads, rows, width, and moves of up to so many rows
START = 1e-6  # what a new machine's memory holds


def weighting(rng: np.random.Generator, *shape: int) -> Any:
    """Above 0, with the sum 1."""
    return softmax(rng.normal(size=shape))


class Stage(NamedTuple):
    """A pair, and inputs by name in the order of the arguments and of the gradients."""

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[..., Any]
    inputs: Callable[[np.random.Generator], dict[str, Any]]


STAGES: dict[str, Stage] = {
    "content_address": Stage(
        addressing.content_address,
        addressing.content_address_backward,
        lambda r: {
            "key": r.normal(size=(B, K, M)),
            "strength": r.uniform(0.3, 4, (B, K)),
            "memory": r.normal(size=(B, N, M)),
        },
    ),
    "interpolate": Stage(
        addressing.interpolate,
        addressing.interpolate_backward,
        lambda r: {
            "content": weighting(r, B, K, N),
            "gate": r.uniform(0.1, 0.9, (B, K)),
            "prev": weighting(r, B, K, N),
        },
    ),
    "shift": Stage(
        addressing.shift,
        addressing.shift_backward,
        lambda r: {"w": weighting(r, B, K, N), "s": weighting(r, B, K, 2 * REACH + 1)},
    ),
    "sharpen": Stage(
        addressing.sharpen,
        addressing.sharpen_backward,
        lambda r: {"w": weighting(r, B, K, N), "sharpness": r.uniform(1.1, 5, (B, K))},
    ),
    "read": Stage(
        addressing.read,
        addressing.read_backward,
        lambda r: {"memory": r.normal(size=(B, N, M)), "w": weighting(r, B, K, N)},
    ),
    "erase_add": Stage(
        addressing.erase_add,
        addressing.erase_add_backward,
        lambda r: {
            "memory": r.normal(size=(B, N, M)),
            "w": weighting(r, B, K, N),
            "erase": r.uniform(0.1, 0.9, (B, K, M)),
            "add": r.normal(size=(B, K, M)),
        },
    ),
}


def both_ways(stage: Stage, inputs: dict[str, Any], dy: Any) -> Any:
    """The result, then the gradients in the order of the arguments."""
    y, cache = stage.forward(**inputs)
    return y, *stage.backward(cache, dy)


def check_stage(stage: Stage, rng: np.random.Generator) -> GradientReport:
    """Central differences of every argument."""
    inputs = stage.inputs(rng)

    def backward(cache: Any, dy: Any) -> Any:
        return dict(zip(inputs, stage.backward(cache, dy), strict=True))

    return compared(check_gradients(stage.forward, backward, inputs, rng))
