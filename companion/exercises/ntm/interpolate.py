"""Extend: what a head remembers of where it stood."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import sigmoid, softmax
from companion.tree import Array


def gated_weightings(w_c: Array, g: Array, start: Array) -> tuple[Array, Array]:
    """Contents w_c (T, K, N), gates g (T, K), weightings start (K, N) -> w, shares.

    w (T, K, N): the weightings after each step.
    shares (T + 1, K): how much of the last one comes from start and each w_c[t].
    """
    w, now = np.zeros_like(w_c), start
    shares = np.concatenate([np.ones_like(g[:1]), g])
    for t in range(len(g)):
        now = g[t, :, None] * w_c[t] + (1 - g[t, :, None]) * now
        w[t] = now
        shares[: t + 1] *= 1 - g[t]
    return w, shares


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, K: int, N: int) -> tuple[Any, ...]:
        return softmax(rng.normal(size=(T, K, N))), sigmoid(rng.normal(size=(T, K))), softmax(rng.normal(size=(K, N)))

    w_c, g, start = case(5, 2, 4)
    g[1, 0], g[3, 1], g[2, 1] = 1, 1, 0  # one head forgets all at step 1, the other at step 3
    return [case(4, 3, 5), case(1, 2, 3), (w_c, g, start)]


def _shares(g: Array) -> Array:
    later = np.concatenate([np.cumprod((1 - g)[::-1], axis=0)[::-1], np.ones_like(g[:1])])
    return np.asarray(np.concatenate([np.ones_like(g[:1]), g]) * later)


def _with(
    gate: Callable[[Array], Array] = lambda g: g,
    mixed: Callable[..., Array] = lambda w_c, g, prev, start: g * w_c + (1 - g) * prev,
    kept: Callable[..., Array] = lambda prev, now: now,
    shares: Callable[[Array], Array] = _shares,
) -> Any:
    """The solution with one part replaced."""

    def answer(w_c: Array, g: Array, start: Array) -> tuple[Array, Array]:
        gates = gate(g)
        w, now = np.zeros_like(w_c), start
        for t in range(len(g)):
            prev, now = now, mixed(w_c[t], gates[t, :, None], now, start)
            w[t] = kept(prev, now)
        return w, shares(gates)

    return answer


def _by_division(g: Array) -> Array:
    """Products over the later steps as quotients of products over all steps."""
    through = np.concatenate([np.ones_like(g[:1]), np.cumprod(1 - g, axis=0)])
    return np.asarray(np.concatenate([np.ones_like(g[:1]), g]) * through[-1] / through)


def _earlier(g: Array) -> Array:
    before = np.concatenate([np.ones_like(g[:1]), np.ones_like(g[:1]), np.cumprod(1 - g, axis=0)[:-1]])
    return np.asarray(np.concatenate([np.prod(1 - g, axis=0, keepdims=True), g]) * before)


EXERCISE = Exercise(
    name="ntm.interpolate",
    kind="extend",
    title="What a head remembers of where it stood",
    statement="""
        Let heads run for T steps with the gate alone, without shift and sharpening: the weighting after a step is the one
        before the next. The last weighting is then a mixture of start and of all contents. Return the weightings, and how
        large the share of each in the last one is. A gate may be exactly 0 or 1.
    """,
    solution=gated_weightings,
    outputs=("w", "shares"),
    cases=_cases,
    hints=(
        "A loop over the steps for w. What comes in at step t has the share g at first. What does each later step do to the "
        "shares of all that came before?",
        "Each later step multiplies them by 1 - g, as a forget gate of an LSTM does to its state. Begin with a share of 1 for "
        "start, g for the others; all shares of a head sum to 1.",
        "`shares = np.concatenate([np.ones_like(g[:1]), g])`, and in step t of the loop `shares[: t + 1] *= 1 - g[t]`. A "
        "quotient of cumulative products would be 0 / 0 after a gate of 1.",
    ),
    mistakes=(
        Mistake(
            "exchanged content and memory: a gate of 1 keeps the old weighting",
            "g is the share of the content; 1 - g is what stays of the weighting before.",
            "ntm-interpolate",
            _with(gate=lambda g: 1 - g),
        ),
        Mistake(
            "mixed every content with start",
            "What the gate keeps is the weighting of the step before; start is that for the first step only.",
            "ntm-interpolate",
            _with(mixed=lambda w_c, g, prev, start: g * w_c + (1 - g) * start),
        ),
        Mistake(
            "forgot the weighting before",
            "Your weightings sum to g instead of 1: the head forgets where it stood.",
            "ntm-interpolate",
            _with(mixed=lambda w_c, g, prev, start: g * w_c),
        ),
        Mistake(
            "added the weighting before without its factor 1 - g",
            "Your weightings sum to more and more with every step: content and memory share a weight of 1.",
            "ntm-interpolate",
            _with(mixed=lambda w_c, g, prev, start: g * w_c + prev),
        ),
        Mistake(
            "took the whole content, without its gate",
            "Your weightings sum to more than 1: the content enters with the share g.",
            "ntm-interpolate",
            _with(mixed=lambda w_c, g, prev, start: w_c + (1 - g) * prev),
        ),
        Mistake(
            "used the gate of the first head for all",
            "Each head has a gate of its own at each step: g[t, :, None].",
            "ntm-interpolate",
            _with(gate=lambda g: np.repeat(g[:, :1], g.shape[1], axis=1)),
        ),
        Mistake(
            "used the gates of the first step at all steps",
            "The controller sets the gates anew at every step.",
            "ntm-interpolate",
            _with(gate=lambda g: np.repeat(g[:1], len(g), axis=0)),
        ),
        Mistake(
            "switched instead of mixing: content where the gate is above a half, else the weighting before",
            "A gate is a share. With a switch there would be no slope to learn it from.",
            "ntm-interpolate",
            _with(gate=np.round),
        ),
        Mistake(
            "returned the weightings before each step",
            "Yours begin with start and lack the last one; asked is what the head uses at each step.",
            "ntm-interpolate",
            _with(kept=lambda prev, now: prev),
        ),
        Mistake(
            "took the gates for the shares",
            "That is the share of a content when it comes in. Every later step takes its part of it away.",
            "ntm-interpolate",
            _with(shares=lambda g: np.concatenate([np.prod(1 - g, axis=0, keepdims=True), g])),
        ),
        Mistake(
            "multiplied by what the earlier gates keep instead of the later ones",
            "What comes in late does not fade because of what was before it; it is what comes after it that takes its place.",
            "ntm-interpolate",
            _with(shares=_earlier),
        ),
        Mistake(
            "left out how much of a content comes in",
            "What the later gates keep is a share of what came in at all: the gate of its own step.",
            "ntm-interpolate",
            _with(shares=lambda g: np.concatenate([np.cumprod((1 - g)[::-1], axis=0)[::-1], np.ones_like(g[:1])])),
        ),
        Mistake(
            "let a gate also take away its own content",
            "The content of a step enters with g in full; the factors 1 - g are those of the later steps only.",
            "ntm-interpolate",
            _with(
                shares=lambda g: np.concatenate(
                    [_shares(g)[:1], g * np.cumprod((1 - g)[::-1], axis=0)[::-1]],
                )
            ),
        ),
        Mistake(
            "gave start the share 1",
            "The other shares are right. Every step, the first included, leaves of start only 1 - g.",
            "ntm-interpolate",
            _with(shares=lambda g: np.concatenate([np.ones_like(g[:1]), _shares(g)[1:]])),
        ),
        Mistake(
            "put the share of start last",
            "The shares are right, but start comes first, then the contents in the order of time.",
            "ntm-interpolate",
            _with(shares=lambda g: np.roll(_shares(g), -1, axis=0)),
        ),
        Mistake(
            "put the shares in reversed time",
            "The shares are right, but start comes first, then the contents from the first step to the last.",
            "ntm-interpolate",
            _with(shares=lambda g: _shares(g)[::-1]),
        ),
        Mistake(
            "put the shares of the contents in reversed time",
            "The shares are right, and start comes first; after it come the contents from the first step to the last.",
            "ntm-interpolate",
            _with(shares=lambda g: np.concatenate([_shares(g)[:1], _shares(g)[:0:-1]])),
        ),
        Mistake(
            "divided one product of gates by another",
            "That is right until a gate is 1: then all that came before it is multiplied by 0, and yours is 0 / 0.",
            "ntm-interpolate",
            _with(shares=_by_division),
        ),
    ),
)
