"""Backpropagation through time, for any cell (chapter *Recurrent networks*; review, section 3).

A cell computes one step, `y, state, cache = step(params, x, state)`, with the same parameters at every step. Unrolled over
x^1 ... x^T it is a deep network whose layers share their parameters, so that their gradient is a sum over time:

    ds^T = what the caller gives                    s^t the state, ds^t the gradient with respect to it
    ds^(t-1) = dy^t dy^t/ds^(t-1) + ds^t ds^t/ds^(t-1)      the way back through one step: `step_backward`
    dparams = sum_t (dy^t d+y^t + ds^t d+s^t) / dparams     d+ holds s^(t-1) fixed: the immediate partial derivative

Sources: Werbos 1990 (backpropagation through time), Williams and Peng 1990 (truncated), Williams and Zipser 1989 (real-time
recurrent learning), Pascanu et al. 2013 (immediate partial derivatives, Jacobian products).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from companion.tree import Array, Indices, from_vector, to_vector, tree_items, tree_leaves, tree_map
from companion.validate import require_dtype, require_finite, require_float, require_shape

Mask: TypeAlias = NDArray[np.bool_]


class Cell(NamedTuple):
    """The four functions of a recurrent cell."""

    init: Callable[..., Any]  # (rng, n_in, n_hidden, dtype) -> params
    initial_state: Callable[..., Any]  # (params, batch) -> state
    step: Callable[..., tuple[Array, Any, Any]]  # (params, x (B, D), state) -> y (B, H), state, cache
    step_backward: Callable[..., tuple[Any, Array, Any]]  # (params, cache, dy, dstate) -> dparams, dx, dstate


class Layer(NamedTuple):
    """The three functions of a layer that reads whole sequences: an unrolled cell, or a faster way to the same numbers."""

    init: Callable[..., Any]  # (rng, n_in, n_hidden, dtype) -> params
    forward: Callable[..., tuple[Array, Any, Any]]  # (params, xs (T, B, D), state, mask) -> ys (T, B, H), state, cache
    backward: Callable[..., tuple[Any, Array, Any]]  # (params, cache, dys, dstate) -> dparams, dxs, dstate


class Caches(NamedTuple):
    """What `unroll` keeps for the way back."""

    steps: tuple[Any, ...]  # the cache of every step
    mask: Mask | None  # (T, B)
    last: Any = None  # the last state: its gradient has these shapes; without one, those of the cell's initial state


# --- the whole sequence


def unroll(
    cell: Cell, params: Any, xs: Array, state: Any = None, mask: Mask | None = None
) -> tuple[Array, Any, Caches]:
    """Run `cell` over xs (T, B, D) and return ys (T, B, H), the last state and the caches.

    The state at the start is the cell's initial one, most often zeros, unless one is given. `mask` (T, B) is True while a
    sequence lasts and False on its padding: there the state stays as it is and y is 0, so that a batch gives what its sequences
    give one by one. The caches hold on to the arrays given and returned: do not write into them before the way back. Raises
    ValueError for shapes that do not fit, inputs and states that are not finite, and a mask that `require_mask` refuses.
    """
    require_sequence("unroll", xs)
    state = cell.initial_state(params, xs.shape[1]) if state is None else state
    require_state("unroll", "state", state, xs.shape[1])
    if mask is not None:
        require_mask("unroll", mask, *xs.shape[:2])
    ys, caches = [], []
    for t, x in enumerate(xs):
        y, new, cache = cell.step(params, x, state)
        if mask is not None:
            y, new = _where(mask[t], y, np.zeros_like(y)), _where(mask[t], new, state)
        state = new
        ys.append(y)
        caches.append(cache)
    return np.stack(ys), state, Caches(tuple(caches), mask, state)


def unroll_backward(cell: Cell, params: Any, caches: Caches, dys: Array, dstate: Any = None) -> tuple[Any, Array, Any]:
    """Backpropagation through time: gradients of the parameters, of xs (T, B, D) and of the initial state.

    `dys` (T, B, H) is the gradient with respect to every output, `dstate` that with respect to the last state (zero unless
    given). Raises ValueError when dys has another number of steps, or numbers are not finite.
    """
    dparams, dxs = tree_map(np.zeros_like, params), []
    for dparams_t, dx, before in backward_steps(cell, params, caches, dys, dstate):
        dparams = tree_map(np.add, dparams, dparams_t)  # shared parameters: the terms of all steps add up
        dxs.append(dx)
        dstate = before
    return dparams, np.stack(dxs[::-1]), dstate


def backward_steps(
    cell: Cell, params: Any, caches: Caches, dys: Array, dstate: Any = None
) -> Iterator[tuple[Any, Array, Any]]:
    """Yield, from the last step to the first, its term of the parameters' gradient, dx and the gradient of the state before."""
    _require_dys("unroll_backward", params, dys, len(caches.steps), _batch(caches))
    if dstate is None:
        last = cell.initial_state(params, dys.shape[1]) if caches.last is None else caches.last
        dstate = tree_map(np.zeros_like, last)
    require_state("unroll_backward", "dstate", dstate, dys.shape[1])
    for t in reversed(range(len(dys))):
        dy, dnew, passed_on = dys[t], dstate, None
        if caches.mask is not None:  # a padded step hands the state, and so its gradient, through
            kept, zero = caches.mask[t], tree_map(np.zeros_like, dstate)
            dy, dnew, passed_on = (
                _where(kept, dy, np.zeros_like(dy)),
                _where(kept, dstate, zero),
                _where(~kept, dstate, zero),
            )
        dparams, dx, dstate = cell.step_backward(params, caches.steps[t], dy, dnew)
        dstate = dstate if passed_on is None else tree_map(np.add, dstate, passed_on)
        yield dparams, dx, dstate


def unrolled(cell: Cell) -> Layer:
    """The layer that runs this cell step by step."""
    return Layer(cell.init, partial(unroll, cell), partial(unroll_backward, cell))


def as_layer(cell: Cell | Layer) -> Layer:
    """A layer as it is, or a cell unrolled."""
    return cell if isinstance(cell, Layer) else unrolled(cell)


# --- other ways to a gradient


def truncated_backward(cell: Cell, params: Any, caches: Caches, dys: Array, k1: int, k2: int) -> Any:
    """Truncated backpropagation through time: gradient of the parameters when no error is sent back further than k2 steps.

    After every k1 steps the errors of those steps go back together through the last k2 steps (Williams and Peng 1990,
    BPTT(k2; k1)); the last block may be shorter, and blocks are those of the batch, not of its shorter sequences. Raises
    ValueError unless 1 <= k1 <= k2: with k1 > k2 some errors would never go back as far as their own block.
    """
    _require_dys("truncated_backward", params, dys, len(caches.steps), _batch(caches))
    if not (isinstance(k1, int | np.integer) and isinstance(k2, int | np.integer) and 1 <= k1 <= k2):
        raise ValueError(f"truncated_backward: k1, k2 are {k1}, {k2}, expected whole numbers with 1 <= k1 <= k2")
    dparams = tree_map(np.zeros_like, params)
    for first in range(0, len(dys), k1):
        end = min(first + k1, len(dys))
        start = max(0, end - k2)
        window = Caches(caches.steps[start:end], None if caches.mask is None else caches.mask[start:end], caches.last)
        errors = np.concatenate([np.zeros_like(dys[start:first]), dys[first:end]])
        dparams = tree_map(np.add, dparams, unroll_backward(cell, params, window, errors)[0])
    return dparams


def rtrl(cell: Cell, params: Any, xs: Array, dys: Array, state: Any = None) -> Any:
    """Real-time recurrent learning: the gradient of the parameters, carried forward in time instead of backward.

    It keeps the sensitivity S^t of every entry of the state to every parameter, S^t = d+s^t/dparams + J^t S^(t-1) with
    J^t = ds^t/ds^(t-1). For H units with H^2 weights a step costs about H^4 products: an oracle, not a way to train.
    """
    require_sequence("rtrl", xs)
    _require_dys("rtrl", params, dys, *xs.shape[:2])
    state = cell.initial_state(params, xs.shape[1]) if state is None else state
    require_state("rtrl", "state", state, xs.shape[1])
    gradient = np.zeros_like(to_vector(params))
    for b in range(xs.shape[1]):
        one = tree_map(lambda a, b=b: a[b : b + 1], state)
        units, zero = np.eye(to_vector(one).size, dtype=xs.dtype), tree_map(np.zeros_like, one)
        sensitivity = np.zeros((len(units), gradient.size), xs.dtype)
        for x, dy in zip(xs[:, b : b + 1], dys[:, b : b + 1], strict=True):
            _, new, cache = cell.step(params, x, one)
            dparams, _, dbefore = cell.step_backward(params, cache, dy, zero)
            gradient += to_vector(dparams) + to_vector(dbefore) @ sensitivity
            rows = [cell.step_backward(params, cache, np.zeros_like(dy), _from_rows(unit[None], one)) for unit in units]
            immediate = np.stack([to_vector(row[0]) for row in rows])
            jacobian = np.stack([to_vector(row[2]) for row in rows])
            sensitivity = immediate + jacobian @ sensitivity
            one = new
    return from_vector(gradient, params)


# --- how far a gradient reaches


def state_gradients(cell: Cell, params: Any, caches: Caches, dys: Array, dstate: Any = None) -> tuple[Any, ...]:
    """Gradients of the states at t = 0 ... T-1 that come from what follows them; entry t has the type of a state.

    With `dys` zero but for its last step, entry t is dL^T/ds^t: its norm against t shows how gradients vanish or explode.
    """
    steps = backward_steps(cell, params, caches, dys, dstate)
    return tuple(before for _, _, before in steps)[::-1]


def jacobian_products(cell: Cell, params: Any, xs: Array, state: Any = None) -> Array:
    """Jacobians of the last state with respect to the state at t = 0 ... T: array (T+1, S, S) for one sequence xs (T, 1, D).

    S counts all entries of the state; row j of matrix t is the gradient of entry j of s^T with respect to s^t. Matrix T is
    the identity, matrix T-1 the Jacobian of the last step.
    """
    require_shape("jacobian_products", "xs", xs, "T", 1, "D", why="one sequence")
    require_sequence("jacobian_products", xs)
    state = cell.initial_state(params, 1) if state is None else state
    require_state("jacobian_products", "state", state, 1)
    size = to_vector(state).size
    copies = tree_map(lambda a: np.repeat(a, size, axis=0), state)
    ys, last, caches = unroll(cell, params, np.repeat(xs, size, axis=1), copies)
    units = _from_rows(np.eye(size, dtype=xs.dtype), last)  # copy j sends back the gradient of entry j
    gradients = (*state_gradients(cell, params, caches, np.zeros_like(ys), units), units)
    return np.stack([np.concatenate([a.reshape(size, -1) for a in tree_leaves(g)], axis=1) for g in gradients])


# --- sequences of different length


def prefix_mask(lengths: Indices, steps: int) -> Mask:
    """The mask (T, B) of sequences of these lengths (B,), padded at their end to T = steps.

    Raises ValueError for a length outside 1 ... steps.
    """
    lengths = np.asarray(lengths)
    require_shape("prefix_mask", "lengths", lengths, "B")
    if not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(f"prefix_mask: lengths has dtype {lengths.dtype}, expected integers in 1..{steps}")
    if not isinstance(steps, int | np.integer):
        raise ValueError(f"prefix_mask: steps is {steps}, expected a whole number")
    for b, length in enumerate(lengths):
        if not 1 <= length <= steps:
            raise ValueError(f"prefix_mask: lengths[{b}] is {length}, expected a whole number in 1..{steps}")
    return np.arange(steps)[:, None] < lengths


def require_mask(function: str, mask: Mask, steps: int, batch: int) -> None:
    """Raise ValueError unless mask (T, B) is boolean and every column is True for one step or more, then False to its end."""
    if not isinstance(mask, np.ndarray):
        raise ValueError(f"{function}: mask is a {type(mask).__name__}, expected a NumPy array of bool")
    require_shape(function, "mask", mask, steps, batch, why="as xs")
    if mask.dtype != np.bool_:
        raise ValueError(f"{function}: mask has dtype {mask.dtype}, expected bool; convert it with mask.astype(bool)")
    if not mask[0].all():
        b = int(np.argmin(mask[0]))
        empty = "is empty" if not mask[:, b].any() else "does not begin with True"
        raise ValueError(f"{function}: mask[:, {b}] {empty}, expected True for the first step of every sequence")
    resumed = mask[1:] & ~mask[:-1]
    if resumed.any():
        t, b = (int(k) for k in np.argwhere(resumed)[0])
        raise ValueError(
            f"{function}: mask[{t + 1}, {b}] is True after False, expected a prefix: padding only at the end of a sequence"
        )


def require_sequence(function: str, xs: Array) -> None:
    """Raise ValueError unless xs is (T, B, D) with no empty axis and holds finite floating-point numbers."""
    require_float(function, "xs", xs)
    require_shape(function, "xs", xs, "T", "B", "D")
    require_finite(function, "xs", xs)


def _batch(caches: Caches) -> int:
    return len(tree_leaves(caches.steps[0])[0])  # all that a step keeps has B rows


def _require_dys(function: str, params: Any, dys: Array, steps: int, batch: int) -> None:
    require_float(function, "dys", dys)
    require_shape(function, "dys", dys, steps, batch, "H", why="as ys")
    require_dtype(function, "dys", dys, tree_leaves(params)[0].dtype, why="as params")
    require_finite(function, "dys", dys)


def require_state(function: str, name: str, state: Any, batch: int) -> None:
    """Raise ValueError unless every array of a state has `batch` rows of finite numbers."""
    for path, array in tree_items(state, name):
        if np.ndim(array) == 0 or len(array) != batch:
            raise ValueError(
                f"{function}: {path} has shape {np.shape(array)}, expected ({batch}, ...) for a batch of {batch}"
            )
        require_finite(function, path, array)


def _where(rows: NDArray[np.bool_], new: Any, old: Any) -> Any:
    """New where a row is True, old elsewhere, leaf by leaf."""
    return tree_map(lambda a, b: np.where(rows.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, old)


def _from_rows(rows: Array, like: Any) -> Any:
    """A state whose batch rows, leaf after leaf, are the given vectors (B, S)."""
    sizes = [leaf[0].size for leaf in tree_leaves(like)]
    pieces = iter(np.split(rows, np.cumsum(sizes)[:-1], axis=1))
    return tree_map(lambda leaf: next(pieces).reshape(len(rows), *leaf.shape[1:]), like)
