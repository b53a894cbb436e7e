"""Training loop: `fit` yields after every update; the caller prints, plots and stops (chapter *Neural networks*).

A generator keeps the loop in the reader's hands: `for step in fit(...)` may print `step.loss`, keep `step.params`, or
break.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from companion.optim import Optimizer, clip_by_norm
from companion.tree import Array, Indices, tree_leaves
from companion.validate import require_finite, require_instance, require_range


class Step(NamedTuple):
    """One update of `fit`."""

    step: int  # 1, 2, ...
    loss: float  # of this step's batch, before the update
    params: Any  # after the update
    state: Any  # of the optimiser, after the update
    carry: Any = None  # what `loss_and_grads` handed on, if it carries something


def fit(
    loss_and_grads: Callable[..., tuple[Any, ...]],
    params: Any,
    batches: Iterable[tuple[Any, ...]],
    optimizer: Optimizer,
    max_norm: float | None = None,
    state: Any = None,
    start: int = 1,
    carries: bool = False,
    carry: Any = None,
) -> Iterator[Step]:
    """Yield one `Step` for every batch: `loss_and_grads(params, *batch) -> (loss, grads)`, clip to max_norm, update.

    With `carries`, something goes from batch to batch, such as the state of a recurrent network that reads one long sequence
    in pieces: `loss_and_grads(params, carry, *batch) -> (loss, grads, carry)`, where the first carry is None unless given.
    To go on after a pause, or with another learning rate, call it again with the `params`, `state` and `carry` of the last
    step, the rest of the batches, and `start` one higher; states do not depend on the rate.

    Raises ValueError at the first loss or gradient that is not finite, before the parameters are spoiled.
    """
    require_instance("fit", "optimizer", optimizer, Optimizer, "such as optim.adam()")
    if max_norm is not None:
        require_range("fit", "max_norm", max_norm, 0, float("inf"), "()")
    if carry is not None and not carries:
        raise ValueError("fit: carry is given but carries is False, expected carries=True to hand it on")

    def with_nothing_carried(params: Any, carry: Any, *batch: Any) -> tuple[Any, ...]:
        returned = loss_and_grads(params, *batch)
        if not isinstance(returned, tuple) or len(returned) != 2:
            hint = (
                "; to hand a third value on to the next batch, pass carries=True"
                if _told(returned) == "3 values"
                else ""
            )
            raise ValueError(f"fit: loss_and_grads returned {_told(returned)}, expected (loss, grads){hint}")
        return (*returned, None)

    with_carry = loss_and_grads if carries else with_nothing_carried
    return _fit(with_carry, params, batches, optimizer, max_norm, state, start, carry)


def _told(returned: Any) -> str:
    return f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"


def _fit(
    loss_and_grads: Callable[..., tuple[Any, ...]],
    params: Any,
    batches: Iterable[tuple[Any, ...]],
    optimizer: Optimizer,
    max_norm: float | None,
    state: Any,
    start: int,
    carry: Any,
) -> Iterator[Step]:
    state = optimizer.init(params) if state is None else state
    for step, batch in enumerate(batches, start):
        returned = loss_and_grads(params, carry, *batch)
        if not isinstance(returned, tuple) or len(returned) != 3:
            raise ValueError(
                f"fit: with carries=True, loss_and_grads returned {_told(returned)}, expected (loss, grads, carry)"
            )
        loss, grads, carry = returned
        if np.ndim(loss) or not isinstance(loss, int | float | np.number):
            raise ValueError(f"fit: loss_and_grads returned the loss {loss!r:.60}, expected a number")
        if not np.isfinite(loss):
            raise ValueError(
                f"fit: loss is {loss} at step {step}, expected a finite number; "
                "lower the learning rate, clip the gradient (max_norm), or look for an overflow in the model"
            )
        if not all(np.isfinite(leaf).all() for leaf in tree_leaves(grads)):
            raise ValueError(
                f"fit: the gradient is not finite at step {step}, expected finite numbers; check its formula"
            )
        if max_norm is not None:
            grads, _ = clip_by_norm(grads, max_norm)
        params, state = optimizer.update(params, grads, state)
        yield Step(step, float(loss), params, state, carry)


def batches(
    rng: np.random.Generator, arrays: Sequence[Array | Indices], batch_size: int, n_steps: int
) -> Iterator[tuple[Any, ...]]:
    """Yield `n_steps` minibatches, shuffled anew for every pass over the data; the last, smaller one of a pass is kept.

    The arrays share their first axis, one row an example. Raises ValueError when they do not, or hold NaN or infinity, or
    for a batch_size below 1 or a negative n_steps.
    """
    require_instance("batches", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    if hasattr(arrays, "shape"):
        raise ValueError("batches: arrays is one array, expected a tuple of arrays, such as (x, labels)")
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"batches: arrays[{index}] is a {type(array).__name__}, expected a NumPy array")
        require_finite("batches", f"arrays[{index}]", array)
    n = len(arrays[0]) if arrays else 0
    if n == 0 or any(len(array) != n for array in arrays):
        raise ValueError(f"batches: the arrays have {[len(a) for a in arrays]} rows, expected equally many, at least 1")
    for name, value, least in (("batch_size", batch_size, 1), ("n_steps", n_steps, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"batches: {name} is {value}, expected a whole number, at least {least}")
    return _batches(rng, arrays, batch_size, n_steps)


def _batches(
    rng: np.random.Generator, arrays: Sequence[Array | Indices], batch_size: int, n_steps: int
) -> Iterator[tuple[Any, ...]]:
    order, start = rng.permutation(len(arrays[0])), 0
    for _ in range(n_steps):
        if start >= len(order):
            order, start = rng.permutation(len(order)), 0
        rows = order[start : start + batch_size]
        start += batch_size
        yield tuple(array[rows] for array in arrays)


def should_stop(losses: Sequence[float], patience: int) -> bool:
    """Early stopping: True when the lowest of these validation losses came `patience` or more evaluations ago.

    A loss of NaN is never the lowest.
    """
    if patience < 1:
        raise ValueError(f"should_stop: patience is {patience}, expected at least 1")
    best = int(np.argmin(np.where(np.isnan(losses), np.inf, losses))) if len(losses) else 0
    return len(losses) - 1 - best >= patience
