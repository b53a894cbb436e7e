"""Implement: the forward pass of a bidirectional layer over a padded batch."""

from typing import Any

import numpy as np

from companion.bidirectional import reverse
from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def bidirectional_tanh(xs: Array, mask: Mask, forward: tuple[Array, ...], backward: tuple[Array, ...]) -> Array:
    """Inputs xs (T, B, D), Booleans mask (T, B), two directions -> ys (T, B, 2H).

    A direction is (W_x (H, D), W_h (H, H), b (H,), state (B, H)): forward from the
    state before the first step, backward from the state after each last real step.
    On the padding ys is 0.
    """
    halves, steps = [], range(len(xs))
    for order, direction in ((steps, forward), (steps[::-1], backward)):
        W_x, W_h, b, state = direction
        half = np.zeros((len(xs), *state.shape))
        for t in order:
            real = mask[t][:, None]
            new = np.tanh(xs[t] @ W_x.T + state @ W_h.T + b)
            state = np.where(real, new, state)
            half[t] = np.where(real, new, 0)
        halves.append(half)
    return np.concatenate(halves, axis=2)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The padding holds random numbers, so that it shows when it is read."""

    def case(D: int, H: int, T: int, *lengths: int) -> tuple[Any, ...]:
        B = len(lengths)
        directions = [tuple(rng.normal(size=shape) for shape in ((H, D), (H, H), (H,), (B, H))) for _ in range(2)]
        return rng.normal(size=(T, B, D)), prefix_mask(np.array(lengths), T), *directions

    return [case(4, 5, 7, 5, 6, 2), case(3, 2, 4, 4, 1), case(2, 3, 5, 3), case(4, 3, 1, 1, 1)]


def _layer(xs: Array, mask: Mask, W_x: Array, W_h: Array, b: Array, state: Array) -> Array:
    """Outputs of one direction, in the order of the steps of xs."""
    ys = []
    for x, real in zip(xs, mask[:, :, None]):
        new = np.tanh(x @ W_x.T + state @ W_h.T + b)
        state = np.where(real, new, state)
        ys.append(np.where(real, new, 0))
    return np.stack(ys)


def _halves(xs: Array, mask: Mask, forward: Any, backward: Any) -> tuple[Array, Array]:
    return _layer(xs, mask, *forward), reverse(_layer(reverse(xs, mask), mask, *backward), mask)


def _merged(merge: Any) -> Any:
    """An answer that puts right halves together in its own way."""
    return lambda xs, mask, forward, backward: merge(*_halves(xs, mask, forward, backward))


def _read(backward_half: Any) -> Any:
    """An answer with its own backward half (xs, mask, every step real, direction); the forward half is right."""

    def answer(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
        hs = _layer(xs, mask, *forward)
        return np.concatenate([hs, backward_half(xs, mask, np.ones_like(mask), backward)], axis=2)

    return answer


def _mask_ignored(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
    return np.concatenate(_halves(xs, np.ones_like(mask), forward, backward), axis=2)


def _other_states(states: Any) -> Any:
    """An answer that begins with states of its own."""

    def answer(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
        first, last = states(forward[3], backward[3], _layer(xs, mask, *forward), mask)
        return bidirectional_tanh(xs, mask, (*forward[:3], first), (*backward[:3], last))

    return answer


def _last_real(hs: Array, mask: Mask) -> Array:
    last: Array = hs[mask.sum(axis=0) - 1, np.arange(hs.shape[1])]
    return last


def _on_over_padding(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
    every = np.ones_like(mask)
    zs = _layer(reverse(xs, mask), every, *backward)
    return np.concatenate([_layer(xs, every, *forward), reverse(zs, mask)], axis=2)


def _states_on_padding(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
    hs, zs = _halves(xs, mask, forward, backward)
    last = _last_real(hs, mask)
    held = np.where(mask[:, :, None], hs, last), np.where(mask[:, :, None], zs, backward[3])
    return np.concatenate(held, axis=2)


def _last_states_on_padding(xs: Array, mask: Mask, forward: Any, backward: Any) -> Any:
    hs, zs = _halves(xs, mask, forward, backward)
    held = np.where(mask[:, :, None], hs, _last_real(hs, mask)), np.where(mask[:, :, None], zs, zs[0])
    return np.concatenate(held, axis=2)


EXERCISE = Exercise(
    name="bi.forward",
    kind="implement",
    title="Both directions over a padded batch",
    statement="""
        Run a bidirectional layer of tanh units over a batch of sequences of different lengths. The forward half of `ys`
        comes first. Each sequence must get exactly what it would get alone, without padding; the states before the first
        and after the last step are given, and are not zero.
    """,
    solution=bidirectional_tanh,
    outputs=("ys",),
    cases=_cases,
    hints=(
        "Write one direction first: a loop over the steps in which a padded step leaves the state as it was.",
        "The backward half can go two ways: reverse every sequence within its length, run the same loop, reverse the outputs "
        "again; or let the loop run from T - 1 down to 0. Which state does a sequence have when that loop reaches its last "
        "real step?",
        "In the loop from T - 1 down to 0 the padding comes first and leaves the given state alone: "
        "`state = np.where(mask[t][:, None], new, state)`. Join the halves with `np.concatenate(..., axis=2)`.",
    ),
    mistakes=(
        Mistake(
            "did not reverse the outputs of the backward layer again",
            "Its first output belongs to the last step. Yours stands beside the forward output of the first.",
            "bi-output",
            _read(lambda xs, mask, every, backward: _layer(reverse(xs, mask), mask, *backward)),
        ),
        Mistake(
            "ignored the mask",
            "The backward layer reads the padding before the sequence, and ys is not 0 on the padding.",
            "masked-step",
            _mask_ignored,
        ),
        Mistake(
            "reversed the padding too",
            "In the whole array turned round, the padding of a short sequence comes first: your backward layer reads it, and "
            "is in some other state than the given one when the sequence begins.",
            "reverse",
            _read(
                lambda xs, mask, every, backward: np.where(
                    mask[:, :, None], _layer(xs[::-1], every, *backward)[::-1], 0
                )
            ),
        ),
        Mistake(
            "turned the inputs round but not their mask",
            "In the array turned round the padding comes first. Your mask still calls the first steps real, so the padding is "
            "read and the beginning of the sequence left out.",
            "reverse",
            _read(lambda xs, mask, every, backward: _layer(xs[::-1], mask, *backward)[::-1]),
        ),
        Mistake(
            "ran both layers from the first step",
            "Your second half is another forward layer: at step t it has seen the past again and nothing of the future.",
            "bi-backward",
            _read(lambda xs, mask, every, backward: _layer(xs, mask, *backward)),
        ),
        Mistake(
            "have the halves in the other order",
            "The forward half comes first; all numbers are right, in the wrong place.",
            "bi-output",
            _merged(lambda hs, zs: np.concatenate([zs, hs], axis=2)),
        ),
        Mistake(
            "added the two halves",
            "They stand side by side, so that the layer above has a weight for each; a sum has H entries instead of 2H.",
            "bi-output",
            _merged(lambda hs, zs: hs + zs),
        ),
        Mistake(
            "joined the halves along the batch",
            "That makes twice as many sequences; the halves of one step belong together, along the last axis.",
            "bi-output",
            _merged(lambda hs, zs: np.concatenate([hs, zs], axis=1)),
        ),
        Mistake(
            "used the weights of the forward layer in both directions",
            "The two layers share no weights; your backward half comes from the wrong W_x, W_h and b.",
            "bi-backward",
            lambda xs, mask, forward, backward: bidirectional_tanh(xs, mask, forward, (*forward[:3], backward[3])),
        ),
        Mistake(
            "began with zero states",
            "Both directions are given a state to begin with, and it is felt in every later step.",
            "bi-forward",
            _other_states(lambda first, last, hs, mask: (0 * first, 0 * last)),
        ),
        Mistake(
            "began the backward layer with a zero state",
            "The state after the last real step is given, and is felt in every step before. To multiply the state by the mask "
            "is no way to keep it: on the padding that sets it to 0.",
            "bi-backward",
            _other_states(lambda first, last, hs, mask: (first, 0 * last)),
        ),
        Mistake(
            "began the backward layer where the forward layer ended",
            "The two layers do not know each other's states; the one after the last step is given.",
            "bi-backward",
            _other_states(lambda first, last, hs, mask: (first, _last_real(hs, mask))),
        ),
        Mistake(
            "left the states standing on the padding",
            "The real steps are right. On the padding ys is 0, so that nothing above can take it for an output.",
            "masked-step",
            _states_on_padding,
        ),
        Mistake(
            "let both layers run on over the padding",
            "The real steps are right, because each layer reads the padding after them. But ys is 0 there, so that "
            "nothing above "
            "can take it for an output.",
            "masked-step",
            _on_over_padding,
        ),
        Mistake(
            "used the weights of the backward layer in both directions",
            "The two layers share no weights; your forward half comes from the wrong W_x, W_h and b.",
            "bi-forward",
            lambda xs, mask, forward, backward: bidirectional_tanh(xs, mask, (*backward[:3], forward[3]), backward),
        ),
        Mistake(
            "left the last state of each layer standing on the padding",
            "The real steps are right. Behind them stand the forward state of the last real step and the backward state of the "
            "first; on the padding ys is 0.",
            "masked-step",
            _last_states_on_padding,
        ),
    ),
)
