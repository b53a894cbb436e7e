"""Find the bug: a softmax along the wrong axis, behind a stage that hides it."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def buggy_content_weights(key: Array, strength: Array, memory: Array) -> Array:
    """Keys (K, M), strengths (K,), memory (N, M) -> content weightings (K, N)."""
    norms = np.linalg.norm(memory, axis=1)[:, None] * np.linalg.norm(key, axis=1)
    similarity = strength * (memory @ key.T) / norms
    e = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    w: Array = e / e.sum(axis=1, keepdims=True)
    return w.T


def content_weights(key: Array, strength: Array, memory: Array) -> Array:
    """Keys (K, M), strengths (K,), memory (N, M) -> content weightings (K, N)."""
    norms = np.linalg.norm(memory, axis=1)[:, None] * np.linalg.norm(key, axis=1)
    similarity = strength * (memory @ key.T) / norms
    e = np.exp(similarity - similarity.max(axis=0, keepdims=True))
    w: Array = e / e.sum(axis=0, keepdims=True)
    return w.T


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The last has strengths so large that an exponential overflows unless the largest is taken off."""

    def case(K: int, N: int, M: int, strength: float = 1.0) -> tuple[Any, ...]:
        return rng.normal(size=(K, M)), strength * rng.uniform(1, 6, K), rng.normal(size=(N, M))

    return [case(2, 6, 3), case(3, 4, 5), case(1, 5, 2), case(2, 4, 3, 1e3)]


def _similarity(key: Array, strength: Array, memory: Array) -> Array:
    """(K, N)."""
    norms = np.linalg.norm(key, axis=1)[:, None] * np.linalg.norm(memory, axis=1)
    similar: Array = strength[:, None] * (key @ memory.T) / norms
    return similar


def _exp(taken_off: Any, divisor: Any) -> Any:
    """An answer that takes a number off before the exponential, and divides by one after it, both from arrays (K, N)."""

    def answer(key: Array, strength: Array, memory: Array) -> Any:
        similarity = _similarity(key, strength, memory)
        e = np.exp(similarity - taken_off(similarity))
        return e / divisor(e)

    return answer


def _rows(reduce: Any) -> Any:
    return lambda a: reduce(a, axis=1, keepdims=True)


def _heads(reduce: Any) -> Any:
    return lambda a: reduce(a, axis=0, keepdims=True)


EXERCISE = Exercise(
    name="ntm.hunt_axis",
    kind="find the bug",
    title="One head finds nothing",
    statement="""
        All weights that this function returns lie between 0 and 1, and their shape is right. After all four stages a weighting
        sums to 1 over the rows even so, because the last stage divides by the sum, and so no test complained. But a machine
        with one head cannot find anything by its content: whatever the key, all N rows weigh the same. Two heads with the same
        key and the same strength share each row, half and half, and what a head finds changes when another head looks for
        something else. Find the bug and hand in the corrected function. It has to be right for large strengths too.
    """,
    solution=content_weights,
    outputs=("the weightings",),
    cases=_cases,
    given=(buggy_content_weights,),
    hints=(
        "What sums to 1 here: the weights of one head over all rows, or those of one row over all heads? With one head, what is "
        "a number divided by the sum of itself?",
        "`similarity` is `memory @ key.T`: what are its axes? It is only turned round in the last line.",
        "Rows are axis 0 there. Both the sum and the maximum run over rows: `axis=0` in both lines.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "Each row is divided among the heads; each head should be divided among the rows.",
            "ntm-content",
            buggy_content_weights,
        ),
        Mistake(
            "repaired the sum only",
            "Each head now sums to 1. But the maximum taken off is still that of a row over the heads: it differs from row to "
            "row, so that it does not cancel in the division.",
            "ntm-content",
            _exp(_heads(np.max), _rows(np.sum)),
        ),
        Mistake(
            "repaired the maximum only",
            "Which maximum is taken off must not matter, as long as it is the same for all that are summed. The sum runs over "
            "the heads still.",
            "ntm-content",
            _exp(_rows(np.max), _heads(np.sum)),
        ),
        Mistake(
            "divided by the sum over heads and rows",
            "All heads together sum to 1 then. Each head has a weighting of its own, that sums to 1 by itself.",
            "ntm-content",
            _exp(np.max, np.sum),
        ),
        Mistake(
            "left out the maximum",
            "With a strength of a thousand and more e^similarity is infinite, and infinity by infinity is not a number.",
            "ntm-content",
            _exp(lambda a: 0.0, _rows(np.sum)),
        ),
        Mistake(
            "took off one maximum for all heads",
            "That is right while strengths are alike. A head much weaker than another then has e^-1000 everywhere: 0 / 0.",
            "ntm-content",
            _exp(np.max, _rows(np.sum)),
        ),
        Mistake(
            "left out the division",
            "Without the sum the weights are not a weighting, whatever the axis.",
            "ntm-content",
            _exp(_rows(np.max), lambda e: 1.0),
        ),
        Mistake(
            "divided by the sum twice, over heads and then over rows",
            "Each head sums to 1 now, but what it finds still depends on what the others look for.",
            "ntm-content",
            lambda key, strength, memory: (
                (w := buggy_content_weights(key, strength, memory)) / w.sum(axis=1, keepdims=True)
            ),
        ),
        Mistake(
            "took the softmax before the strength",
            "The strength belongs in the exponent, where it makes the softmax more pointed.",
            "ntm-content",
            lambda key, strength, memory: strength[:, None] * softmax(_similarity(key, np.ones_like(strength), memory)),
        ),
        Mistake(
            "left out the norms",
            "Without them a large row is found more easily than a small one in the same direction; they were right.",
            "ntm-cosine",
            lambda key, strength, memory: softmax(strength[:, None] * (key @ memory.T)),
        ),
        Mistake(
            "left out the strength",
            "The strength says how much a small difference in cosine counts; it was right.",
            "ntm-content",
            lambda key, strength, memory: softmax(_similarity(key, np.ones_like(strength), memory)),
        ),
    ),
)
