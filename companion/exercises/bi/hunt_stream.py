"""Find the bug: a bidirectional layer that promises to run on a stream."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def buggy_stream(xs: Array, forward: tuple[Array, ...], backward: tuple[Array, ...], k: int) -> Array:
    """One sequence xs (T, D), two directions, k steps at a time -> ys (T, 2H).

    A direction is (W_x (H, D), W_h (H, H), b (H,), state (H,)): forward from the
    state before the first step, backward from the state after the last.
    """
    (V_x, V_h, c, h), (W_x, W_h, b, z) = forward, backward
    H, T = len(h), len(xs)
    ys = np.zeros((T, 2 * H))
    for start in range(0, T, k):
        chunk = range(start, min(start + k, T))
        for t in chunk:
            ys[t, :H] = h = np.tanh(V_x @ xs[t] + V_h @ h + c)
        for t in reversed(chunk):
            ys[t, H:] = z = np.tanh(W_x @ xs[t] + W_h @ z + b)
    return ys


def repaired_stream(xs: Array, forward: tuple[Array, ...], backward: tuple[Array, ...], k: int) -> Array:
    """One sequence xs (T, D), two directions, k steps at a time -> ys (T, 2H).

    A direction is (W_x (H, D), W_h (H, H), b (H,), state (H,)): forward from the
    state before the first step, backward from the state after the last.
    """
    (V_x, V_h, c, h), (W_x, W_h, b, z) = forward, backward
    H, T = len(h), len(xs)
    ys = np.zeros((T, 2 * H))
    chunks = [range(start, min(start + k, T)) for start in range(0, T, k)]
    for chunk in chunks:
        for t in chunk:
            ys[t, :H] = h = np.tanh(V_x @ xs[t] + V_h @ h + c)
    for chunk in reversed(chunks):
        for t in reversed(chunk):
            ys[t, H:] = z = np.tanh(W_x @ xs[t] + W_h @ z + b)
    return ys


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(D: int, H: int, T: int, k: int) -> tuple[Any, ...]:
        directions = [tuple(rng.normal(size=shape) for shape in ((H, D), (H, H), (H,), (H,))) for _ in range(2)]
        return rng.normal(size=(T, D)), *directions, k

    return [case(4, 5, 11, 4), case(3, 2, 7, 3), case(2, 3, 5, 1), case(3, 4, 2, 6), case(4, 2, 1, 1)]


def _layer(xs: Array, W_x: Array, W_h: Array, b: Array, state: Array) -> Array:
    states = []
    for x in xs:
        state = np.tanh(W_x @ x + W_h @ state + b)
        states.append(state)
    return np.stack(states)


def _with(backward_half: Any, forward_half: Any = lambda xs, k, forward, hs: hs) -> Any:
    """An answer with halves of its own; backward_half gets xs, k, the direction and the forward half."""

    def answer(xs: Array, forward: Any, backward: Any, k: int) -> Any:
        hs = _layer(xs, *forward)
        return np.concatenate([forward_half(xs, k, forward, hs), backward_half(xs, k, backward, hs)], axis=1)

    return answer


def _chunks_of(begin: Any) -> Any:
    """The backward half of every chunk by itself, from the state begin(z_end, last output of the chunk's forward half)."""

    def half(xs: Array, k: int, backward: Any, hs: Array) -> Any:
        W_x, W_h, b, z_end = backward
        return np.concatenate(
            [
                _layer(xs[s : s + k][::-1], W_x, W_h, b, begin(z_end, hs[s : s + k][-1]))[::-1]
                for s in range(0, len(xs), k)
            ]
        )

    return half


def _one_chunk_ahead(xs: Array, k: int, backward: Any, hs: Array) -> Any:
    return np.concatenate([_layer(xs[s : s + 2 * k][::-1], *backward)[::-1][:k] for s in range(0, len(xs), k)])


def _right(xs: Array, k: int, backward: Any, hs: Array) -> Any:
    return _layer(xs[::-1], *backward)[::-1]


def _chunks_from_last(xs: Array, k: int, forward: Any, hs: Array) -> Any:
    """Chunks from the last to the first, the steps within each from the first."""
    order = [t for s in reversed(range(0, len(xs), k)) for t in range(s, min(s + k, len(xs)))]
    return _layer(xs[order], *forward)[np.argsort(order)]


EXERCISE = Exercise(
    name="bi.hunt_stream",
    kind="find the bug",
    title="The bidirectional layer that runs live",
    statement="""
        A library offers this bidirectional layer for speech as it comes in: it takes k steps at a time, carries both states
        over to the next k, and never computes anything twice. Its tests feed a sequence as one chunk, and pass. For a sequence
        of 24 steps in chunks of 8, the forward half is the one of the whole sequence to the last digit, and the backward half
        is wrong in all three chunks. Hand in a function whose numbers do not depend on k. Then say how long a listener must
        now wait for the first output.
    """,
    solution=repaired_stream,
    outputs=("ys",),
    cases=_cases,
    given=(buggy_stream,),
    hints=(
        "Write down the order in which the backward layer visits the steps, for T = 6 and k = 3. Which order does the "
        "equation ask for?",
        "It visits 3, 2, 1, 6, 5, 4. At step 6 it uses the state of step 1 where the state after the last step belongs; at "
        "step 3, which should follow step 4, it uses the one after the last step.",
        "Two passes: the forward layer through the chunks from the first, then the backward layer through the chunks from the "
        "last. It can begin only when the sequence has ended, so the wait for the first output is the whole sequence.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "The backward state is carried from step 1 of a chunk to the end of the next one, against the direction of the "
            "layer: z^(t) must come from z^(t+1).",
            "online",
            buggy_stream,
        ),
        Mistake(
            "began the backward layer afresh in every chunk",
            "It no longer mixes up the order, but sees no further than the end of its chunk: only the last chunk is right.",
            "online",
            _with(_chunks_of(lambda z_end, h: z_end)),
        ),
        Mistake(
            "let the backward layer begin one chunk ahead",
            "Systems that cannot wait do this. It hears of the next k steps, but of nothing behind them, so your numbers still "
            "depend on k.",
            "online",
            _with(_one_chunk_ahead),
        ),
        Mistake(
            "began the backward layer with a zero state in every chunk",
            "It sees no further than the end of its chunk, and in the last chunk the given state is missing too.",
            "online",
            _with(_chunks_of(lambda z_end, h: 0 * z_end)),
        ),
        Mistake(
            "began the backward layer of a chunk with the state of the forward layer",
            "That state tells of the steps before, through other weights; the backward layer needs to hear of the steps after.",
            "bi-backward",
            _with(_chunks_of(lambda z_end, h: h)),
        ),
        Mistake(
            "went through the chunks from the last, but through the steps of each from the first",
            "Within a chunk the backward layer, too, has to begin at the last step.",
            "bi-backward",
            _with(_chunks_from_last),
        ),
        Mistake(
            "turned the chunks round for the forward layer too",
            "The backward half is right now; the forward half, which was right, begins with the last chunk.",
            "bi-forward",
            _with(_right, _chunks_from_last),
        ),
        Mistake(
            "ran the backward layer from the first step",
            "Your second half is another forward layer, which has heard nothing of what comes after.",
            "bi-backward",
            _with(lambda xs, k, backward, hs: _layer(xs, *backward)),
        ),
        Mistake(
            "left the outputs of the backward layer in the order of reading",
            "Its first output belongs to the last step.",
            "bi-output",
            _with(lambda xs, k, backward, hs: _layer(xs[::-1], *backward)),
        ),
    ),
)
