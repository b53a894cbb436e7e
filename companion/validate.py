"""Errors that tell: each says the function, the argument, what was received and what was expected."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from companion.tree import Array, Indices

Value = TypeVar("Value")

# How far a sum of probabilities may be from one: numbers typed with six digits, or once rounded to float32, miss it so far.
ROUNDING = 1e-5

# Pseudo-counts are smaller: large enough for rows as uniform as can be, and float32 still holds the sum of many.
PSEUDO_COUNT_LIMIT = 1e30


def require_shape(
    function: str, name: str, array: Array | Indices | NDArray[np.bool_], *axes: int | str, why: str = ""
) -> None:
    """Raise ValueError unless `array` has these axes: a number is a size to match, a letter any size except 0."""
    shape = np.shape(array)
    fits = len(shape) == len(axes) and all(
        size >= 1 and (isinstance(axis, str) or size == axis) for size, axis in zip(shape, axes, strict=True)
    )
    if not fits:
        expected = "(" + ", ".join(str(axis) for axis in axes) + ("," if len(axes) == 1 else "") + ")"
        empty = " and no empty axis" if 0 in shape and len(shape) == len(axes) else ""
        raise ValueError(f"{function}: {name} has shape {shape}, expected {expected}{why and ' ' + why}{empty}")


def require_float(function: str, name: str, array: Array) -> None:
    """Raise ValueError unless `array` is a NumPy array of floating-point numbers."""
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.floating):
        received = f"has dtype {array.dtype}" if isinstance(array, np.ndarray) else f"is a {type(array).__name__}"
        raise ValueError(f"{function}: {name} {received}, expected a NumPy array of floating-point numbers")


def require_dtype(function: str, name: str, array: Array, dtype: Any, why: str = "") -> None:
    """Raise ValueError unless `array` is an array of exactly this dtype."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{function}: {name} is a {type(array).__name__}, expected a NumPy array of {np.dtype(dtype)}")
    if array.dtype != dtype:
        raise ValueError(
            f"{function}: {name} has dtype {array.dtype}, expected {np.dtype(dtype)}{why and ' ' + why}; "
            f"convert it with {name}.astype({str(np.dtype(dtype))!r})"
        )


def require_indices(function: str, name: str, indices: Indices, n: int) -> None:
    """Raise ValueError unless `indices` are integers in 0 ... n-1."""
    if not isinstance(indices, np.ndarray) or not np.issubdtype(indices.dtype, np.integer):
        received = f"has dtype {indices.dtype}" if isinstance(indices, np.ndarray) else f"is a {type(indices).__name__}"
        raise ValueError(f"{function}: {name} {received}, expected a NumPy array of integers in 0..{n - 1}")
    if indices.size == 0:
        raise ValueError(f"{function}: {name} has shape {indices.shape}, expected at least one integer")
    wrong = (indices < 0) | (indices >= n)
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        at = ", ".join(map(str, where))
        raise ValueError(f"{function}: {name}[{at}] is {indices[where]}, expected integers in 0..{n - 1}")


def require_finite(function: str, name: str, array: Array | Indices) -> None:
    """Raise ValueError when a floating-point array holds NaN or infinity."""
    if not np.issubdtype(np.asarray(array).dtype, np.inexact):
        return
    wrong = ~np.isfinite(array)
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(
            f"{function}: {name} has {wrong.sum()} values that are not finite, the first at {list(where)} "
            f"({array[where]}), expected finite numbers"
        )


def require_range(function: str, name: str, value: float, low: float, high: float, interval: str = "[)") -> None:
    """Raise ValueError unless value lies in the interval: '[)' is low <= value < high, '()' excludes both ends."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{function}: {name} is {value!r}, expected a number")
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[1] == "]" else value < high
    if not (above and below):  # also true for NaN
        raise ValueError(
            f"{function}: {name} is {value}, expected a number in {interval[0]}{low:g}, {high:g}{interval[1]}"
        )


def require_distributions(function: str, name: str, rows: Array) -> None:
    """Raise ValueError unless every row (..., K) is a probability distribution."""
    require_float(function, name, rows)
    require_counts(function, name, rows, "probabilities")
    sums = rows.sum(axis=-1, dtype=np.float64)
    wrong = np.abs(sums - 1) > max(ROUNDING, np.finfo(rows.dtype).eps)
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        row = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise ValueError(f"{function}: {row} sums to {sums[where]:.9g}, expected probabilities that sum to 1")


def require_counts(function: str, name: str, array: Array, what: str = "counts") -> None:
    """Raise ValueError when an array holds NaN, infinity or a negative number."""
    require_finite(function, name, array)
    wrong = array < 0
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        at = ", ".join(map(str, where))
        raise ValueError(f"{function}: {name}[{at}] is {array[where]}, expected {what} of at least 0")


def require_instance(function: str, name: str, value: object, kind: type, example: str) -> None:
    """Raise ValueError unless `value` is a `kind`; the message gives an example of one."""
    if not isinstance(value, kind):
        raise ValueError(f"{function}: {name} is {value!r:.60}, expected {kind.__name__}, {example}")


def require_kind(function: str, name: str, value: object, kind: type) -> None:
    """Raise ValueError unless `value` is a `kind`, such as the parameters of one cell and not of another."""
    if not isinstance(value, kind):
        raise ValueError(f"{function}: {name} is a {type(value).__name__}, expected {kind.__name__}")


def require_known(function: str, name: str, value: str, known: Mapping[str, Value]) -> Value:
    """Return known[value], or raise ValueError that lists the names there are."""
    if value not in known:
        raise ValueError(f"{function}: {name} is {value!r}, expected one of: {', '.join(known)}")
    return known[value]


def require_step(function: str, params: Any, x: Array, **state: Array) -> None:
    """Raise ValueError unless x and the arrays of the state have B rows, the widths of params.W_x and W_h, and their dtype."""
    for name, array in params._asdict().items():
        require_dtype(function, f"params.{name}", array, params.W_x.dtype, why="as params.W_x")
    require_shape(function, "x", x, "B", params.W_x.shape[1], why="from params.W_x")
    require_dtype(function, "x", x, params.W_x.dtype, why="as params.W_x")
    for name, array in state.items():
        require_shape(function, f"state.{name}", array, len(x), params.W_h.shape[1], why="from x and params.W_h")
        require_dtype(function, f"state.{name}", array, params.W_x.dtype, why="as params.W_x")


def require_gradient(function: str, name: str, gradient: Array, like: Array, why: str) -> None:
    """Raise ValueError unless a gradient has the shape and the dtype of what it belongs to."""
    require_shape(function, name, gradient, *like.shape, why=why)
    require_dtype(function, name, gradient, like.dtype, why=why)


def require_rows(function: str, rows: int, **weights: Array) -> None:
    """Raise ValueError unless every array of weights has this many rows; a bias has no other axis."""
    for name, array in weights.items():
        axes = (rows,) if name.startswith("b") else (rows, "D" if name == "W_x" else "H")
        require_shape(function, f"params.{name}", array, *axes)


def require_sizes(function: str, rng: object, dtype: Any, **sizes: int) -> None:
    """Raise ValueError unless rng is a Generator, dtype a floating-point type, and every size a whole number of at least 1."""
    require_instance(function, "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ValueError(f"{function}: dtype is {dtype!r:.60}, expected a floating-point type") from error
    if not np.issubdtype(kind, np.floating):
        raise ValueError(f"{function}: dtype is {kind}, expected a floating-point type")
    for name, size in sizes.items():
        require_whole(function, name, size, 1)


def require_whole(function: str, name: str, value: int, least: int) -> None:
    """Raise ValueError unless value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{function}: {name} is {value!r:.60}, expected a whole number of at least {least}")
