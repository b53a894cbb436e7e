"""A sequence for calls that are wrong in one thing, and the comparison of their messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from companion.lstm import LSTM
from companion.tree import tree_map
from tests.contract.cells import LENGTHS, Problem, problem

# Function (or several, one of which refuses), argument, what was received, what was expected: in this order.
Parts = tuple[str, str, str, str]
Cases = dict[str, tuple[Callable[[], Any], Parts]]
FINITE = "expected finite numbers"
FLOATS = "expected a NumPy array of"
NAN = "the first at [4, 0, 2] (nan)"


@cache
def given(cell: Any = LSTM, dtype: Any = np.float64) -> Problem:
    return problem(cell, np.random.default_rng(2), dtype, LENGTHS)


def with_nan(a: Any, index: tuple[int, ...] = (0, 2)) -> Any:
    a = a.copy()
    a[index] = np.nan
    return a


def rows(n: int) -> Any:
    """States, or gradients of states, of the first n examples."""
    return tree_map(lambda a: a[:n], given().state)


def float32(tree: Any) -> Any:
    return tree_map(lambda a: a.astype(np.float32), tree)


def require_message(call: Callable[[], Any], parts: Parts) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 the whole message is compared below
        call()
    message = str(raised.value)
    assert message.split(": ")[0] in parts[0].split("|"), message
    position = 0
    for part in parts[1:]:
        found = [
            message.find(choice, position) + len(choice) for choice in part.split("|") if choice in message[position:]
        ]
        assert found, f"{part!r} is missing, or not in its place, in {message!r}"
        position = max(found)
    assert "\n" not in message
    assert len(message) < 250
