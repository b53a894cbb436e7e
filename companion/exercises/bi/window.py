"""Implement: windows of neighbouring steps for a feedforward baseline."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def windows(xs: Array, mask: Mask, w: int) -> Array:
    """Inputs xs (T, B, D), Booleans mask (T, B), w -> windows (T, B, (2w + 1) D).

    At a real step t: x^(t-w), ..., x^(t), ..., x^(t+w) side by side, and zeros
    in place of steps that the sequence does not have. At a padded step: zeros.
    """
    T, B, D = xs.shape
    padded = np.zeros((T + 2 * w, B, D))
    padded[w : w + T] = np.where(mask[:, :, None], xs, 0)
    joined = np.concatenate([padded[k : k + T] for k in range(2 * w + 1)], axis=2)
    return np.where(mask[:, :, None], joined, 0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The padding holds random numbers, so that it shows when it is read."""

    def case(w: int, D: int, T: int, *lengths: int) -> tuple[Any, ...]:
        return rng.normal(size=(T, len(lengths), D)), prefix_mask(np.array(lengths), T), w

    return [case(2, 4, 7, 5, 6, 2), case(1, 3, 4, 4, 1), case(3, 2, 5, 3), case(2, 4, 1, 1, 1)]


def _with(
    offsets: Any = lambda w: range(-w, w + 1),
    mode: str = "constant",
    join: Any = lambda parts: np.concatenate(parts, axis=2),
    read: Any = lambda mask: mask,
    shown: Any = lambda mask: mask,
) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, mask: Mask, w: int) -> Any:
        T, room = len(xs), 2 * w
        known = np.where(read(mask)[:, :, None], xs, 0)
        padded = np.pad(known, ((room, room), (0, 0), (0, 0)), mode=mode)  # type: ignore[call-overload]
        joined = join([padded[room + k : room + k + T] for k in offsets(w)])
        return np.where(shown(mask)[:, :, None], joined, 0)

    return answer


def _rolled(xs: Array, mask: Mask, w: int) -> Any:
    known = np.where(mask[:, :, None], xs, 0)
    joined = np.concatenate([np.roll(known, -k, axis=0) for k in range(-w, w + 1)], axis=2)
    return np.where(mask[:, :, None], joined, 0)


def _rolled_unmasked(xs: Array, mask: Mask, w: int) -> Any:
    return np.concatenate([np.roll(xs, -k, axis=0) for k in range(-w, w + 1)], axis=2)


EXERCISE = Exercise(
    name="bi.window",
    kind="implement",
    title="The window baseline",
    statement="""
        A feedforward network that sees w steps on either side is the baseline that a bidirectional network has to beat. Build
        its inputs. A window never reaches beyond its own sequence: neither round to the other end of the array, nor into
        the padding, whose content is arbitrary.
    """,
    solution=windows,
    outputs=("the result",),
    cases=_cases,
    hints=(
        "Clear the padding first, then ask for one shifted copy of xs for each place in the window.",
        "Put xs into the middle of an array of zeros with T + 2w steps. Which T steps of it hold $x^{(t-w)}$ for "
        "all t, and which "
        "$x^{(t+w)}$?",
        "`padded[k : k + T]` for k = 0 ... 2w, joined along the last axis. At the end clear the windows of the padded steps.",
    ),
    mistakes=(
        Mistake(
            "let the window wrap round",
            "np.roll brings the end of the array to the front: the first windows show what stands at the end of the array.",
            "window",
            _rolled,
        ),
        Mistake(
            "let the window wrap round, and ignored the mask",
            "np.roll brings the end of the array to the front, and the padding behind a short sequence is shown as if it were "
            "real.",
            "window",
            _rolled_unmasked,
        ),
        Mistake(
            "ignored the mask",
            "The last windows of a short sequence show its padding, and the padding has windows too; both should be zeros.",
            "masked-step",
            _with(read=np.ones_like, shown=np.ones_like),
        ),
        Mistake(
            "let the padding into the windows",
            "The last windows of a short sequence show what stands behind its end, where zeros belong.",
            "window",
            _with(read=np.ones_like),
        ),
        Mistake(
            "have the window in the other order",
            "The oldest step, x^(t-w), comes first.",
            "window",
            _with(offsets=lambda w: range(w, -w - 1, -1)),
        ),
        Mistake(
            "looked back only",
            "Your window ends with x^(t); half of its places belong to the steps after it, for whose sake the window is there.",
            "window",
            _with(offsets=lambda w: range(-2 * w, 1)),
        ),
        Mistake(
            "looked ahead only",
            "Your window begins with x^(t); half of its places belong to the steps before it.",
            "window",
            _with(offsets=lambda w: range(2 * w + 1)),
        ),
        Mistake(
            "looked back only, over w steps",
            "The window has 2w + 1 places: w steps before, the step itself, and w steps after it.",
            "window",
            _with(offsets=lambda w: range(-w, 1)),
        ),
        Mistake(
            "left the middle out",
            "The step itself belongs into its window, between the neighbours.",
            "window",
            _with(offsets=lambda w: [k for k in range(-w, w + 1) if k]),
        ),
        Mistake(
            "left windows on the padding",
            "A padded step has neighbours that are real, but no window: it is all zeros.",
            "masked-step",
            _with(shown=np.ones_like),
        ),
        Mistake(
            "repeated the step at the edge of the array",
            "Where a sequence has no step there should be zeros, which say so; a repeated step looks like a real one.",
            "window",
            _with(mode="edge"),
        ),
        Mistake(
            "put the entries of the window feature by feature",
            "The D numbers of one step stay together; yours come as 2w + 1 values of the first feature, then of the second.",
            "window",
            _with(join=lambda parts: np.stack(parts, axis=3).reshape(*parts[0].shape[:2], -1)),
        ),
    ),
)
