"""Derive: back through a move round the memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import softmax, softmax_backward
from companion.tree import Array


def moved_round_backward(w: Array, z: Array, dmoved: Array) -> tuple[Array, Array]:
    """Weightings w (K, N), logits z (K, 2J + 1), gradient dmoved (K, N) -> dw, dz.

    s = softmax(z) holds the shares of moves by -J, ..., J rows.
    """
    S = z.shape[1]
    s = np.exp(z - z.max(axis=1, keepdims=True))
    s /= s.sum(axis=1, keepdims=True)
    dw, ds = np.zeros_like(w), np.zeros_like(s)
    for i in range(S):
        move = i - S // 2
        dw += s[:, i, None] * np.roll(dmoved, -move, axis=1)
        ds[:, i] = (dmoved * np.roll(w, move, axis=1)).sum(axis=1)
    return dw, s * (ds - (ds * s).sum(axis=1, keepdims=True))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, S: int) -> tuple[Any, ...]:
        return softmax(rng.normal(size=(K, N))), rng.normal(size=(K, S)), rng.normal(size=(K, N))

    return [case(3, 7, 5), case(1, 4, 3), case(2, 5, 5)]


def _numeric(w: Array, z: Array, dmoved: Array) -> dict[str, Array]:
    def loss(w: Array, z: Array) -> float:
        s, J = softmax(z), z.shape[1] // 2
        moved = [s[:, i, None] * np.roll(w, i - J, axis=1) for i in range(z.shape[1])]
        return float((dmoved * np.sum(moved, axis=0)).sum())

    return {
        "dw": numerical_gradient(lambda w: loss(w, z), w),
        "dz": numerical_gradient(lambda z: loss(w, z), z),
    }


def _rolled(a: Array, move: int) -> Array:
    return np.roll(a, move, axis=1)


def _lost(a: Array, move: int) -> Array:
    """What moves past an end is gone."""
    N = a.shape[1]
    return np.pad(a, ((0, 0), (N, N)))[:, N - move : 2 * N - move]


def _with(
    shares: Callable[[Array], Array] = softmax,
    place: Callable[[Array, int], Array] = _rolled,
    back: Callable[[Array, int], Array] = lambda dmoved, move: np.roll(dmoved, -move, axis=1),
    share_in_dw: Callable[[Array], Array] = lambda s: s,
    move_in_ds: Callable[[int], int] = lambda move: move,
    rows: Callable[[Array], Array] = lambda products: products.sum(axis=1),
    to_logits: Callable[[Array, Array], Array] = softmax_backward,
    moves: Callable[[int], Any] = lambda S: range(-(S // 2), S // 2 + 1),
    of_w: Callable[[Array, Array], Array] = lambda dw, w: dw,
) -> Any:
    """The solution with one part replaced."""

    def answer(w: Array, z: Array, dmoved: Array) -> tuple[Array, Array]:
        s = shares(z)
        parts = [(share_in_dw(s)[:, i, None], move) for i, move in enumerate(moves(s.shape[1]))]
        dw = np.sum([share * back(dmoved, move) for share, move in parts], axis=0)
        ds = np.stack([rows(dmoved * place(w, move_in_ds(move))) for _, move in parts], axis=1)
        return of_w(dw, w), to_logits(s, ds)

    return answer


EXERCISE = Exercise(
    name="ntm.shift_backward",
    kind="derive",
    title="Back through a move",
    statement="""
        A head has moved round the memory: moved(n) = sum over j of s(j) w(n - j). The controller does not give the shares s
        but logits z, and s is their softmax. Carry the gradient of what was moved back to w and to z. Where does the
        gradient that arrives at row n go, if row n received its weight from row n - j?
    """,
    solution=moved_round_backward,
    outputs=("dw", "dz"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Each move is `s[:, i, None] * np.roll(w, move, axis=1)`, a product of two factors. The gradient of the one holds the "
        "other; rolled numbers are rolled back.",
        "dw is a sum over moves of `s[:, i, None] * np.roll(dmoved, -move, axis=1)`; ds[:, i] the product of dmoved with "
        "the w that this move brought there, summed over the rows.",
        "With `ds[:, i] = (dmoved * np.roll(w, move, axis=1)).sum(axis=1)` go through the softmax: "
        "`dz = s * (ds - (ds * s).sum(axis=1, keepdims=True))`.",
    ),
    mistakes=(
        Mistake(
            "moved the gradient forward instead of back",
            "Only dw is wrong. What went from row n - j to row n sends its gradient from n to n - j: roll by -j.",
            "ntm-back-shift",
            _with(back=_rolled),
        ),
        Mistake(
            "left the gradient where it arrived",
            "Only dw is wrong. The shares sum to 1, so that yours is dmoved itself, as if nothing had moved.",
            "ntm-back-shift",
            _with(back=lambda dmoved, move: dmoved),
        ),
        Mistake(
            "lost the gradients that go back past the ends",
            "Only dw is wrong. The memory is a ring on the way back as on the way there.",
            "ntm-back-shift",
            _with(back=lambda dmoved, move: _lost(dmoved, -move)),
        ),
        Mistake(
            "rolled the gradients of all heads together, without an axis",
            "Only dw is wrong. Without axis=1 the last gradient of one head gets to the first row of the next head.",
            "ntm-back-shift",
            _with(back=lambda dmoved, move: np.roll(dmoved, -move)),
        ),
        Mistake(
            "forgot the shares in dw",
            "Only dw is wrong. A weight moved by j with the share s(j), and its gradient comes back with the same share.",
            "ntm-back-shift",
            _with(share_in_dw=np.ones_like),
        ),
        Mistake(
            "multiplied dw by the weights",
            "Only dw is wrong. What was moved is linear in w: its gradient has the shares in it, not the weights.",
            "ntm-back-shift",
            _with(of_w=lambda dw, w: dw * w),
        ),
        Mistake(
            "gave all heads the shares of the first in dw",
            "Only dw is wrong. Each head has moves of its own: s[k] belongs to row k.",
            "ntm-back-shift",
            _with(share_in_dw=lambda s: np.repeat(s[:1], len(s), axis=0)),
        ),
        Mistake(
            "moved w the wrong way in the gradient of the shares",
            "Only dz is wrong. The share of a move by j multiplied w(n - j), which np.roll(w, j) brings to row n.",
            "ntm-back-shift",
            _with(move_in_ds=lambda move: -move),
        ),
        Mistake(
            "did not move w in the gradient of the shares",
            "dz is 0: all moves look alike to yours. The share of a move by j multiplied w(n - j).",
            "ntm-back-shift",
            _with(move_in_ds=lambda move: 0),
        ),
        Mistake(
            "lost what had moved past the ends in the gradient of the shares",
            "Only dz is wrong. What moved round the end counts for its share too.",
            "ntm-back-shift",
            _with(place=_lost),
        ),
        Mistake(
            "averaged the gradient of the shares over the rows",
            "Only dz is wrong. A share moved all N rows, so that their gradients add up.",
            "ntm-back-shift",
            _with(rows=lambda products: products.mean(axis=1)),
        ),
        Mistake(
            "stopped at the gradient of the shares",
            "Only dz is wrong: yours is ds. The shares are a softmax of z, which is the last step of the way back.",
            "ntm-heads",
            _with(to_logits=lambda s, ds: ds),
        ),
        Mistake(
            "used only the derivative of each share with respect to its own logit",
            "Only dz is wrong. s (1 - s) ds forgets that a logit also lowers the other shares.",
            "ntm-heads",
            _with(to_logits=lambda s, ds: s * (1 - s) * ds),
        ),
        Mistake(
            "left out the path through the sum of the softmax",
            "Only dz is wrong. s ds is what the numerator contributes; the entries of a right row sum to 0.",
            "ntm-heads",
            _with(to_logits=lambda s, ds: s * ds),
        ),
        Mistake(
            "summed over the heads on the way through the softmax",
            "Only dz is wrong. The shares of one head sum to 1 along axis 1; the heads have nothing to do with one another.",
            "ntm-heads",
            _with(to_logits=lambda s, ds: s * (ds - (ds * s).sum(axis=0))),
        ),
        Mistake(
            "took the logits for the shares",
            "The controller gives logits; it is their softmax that moves the weights.",
            "ntm-heads",
            _with(shares=lambda z: z),
        ),
        Mistake(
            "took the entries of s for moves by 0, 1, 2 and so on",
            "They begin with -J: entry i moves by i - J rows, with J = S // 2.",
            "ntm-shift",
            _with(moves=range),
        ),
        Mistake(
            "took the entries of s for moves by 0, 1, ..., -1",
            "That order, with no move first, is another convention. Here s begins with -J, and no move is in its middle.",
            "ntm-shift",
            _with(moves=lambda S: [*range(S // 2 + 1), *range(-(S // 2), 0)]),
        ),
    ),
)
