"""Derive: back through the search for rows by what they hold."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import softmax
from companion.tree import Array


def content_weighting_backward(key: Array, strength: Array, memory: Array, dw: Array) -> tuple[Array, Array, Array]:
    """Gradient dw (K, N) of the weightings -> dkey, dstrength, dmemory.

    key (K, M), strength (K,), memory (N, M), where no row is all zeros.
    """
    key_length = np.sqrt((key**2).sum(axis=1, keepdims=True))
    row_length = np.sqrt((memory**2).sum(axis=1, keepdims=True))
    u, v = key / key_length, memory / row_length  # directions
    cosine = u @ v.T
    e = np.exp(strength[:, None] * (cosine - cosine.max(axis=1, keepdims=True)))
    w = e / e.sum(axis=1, keepdims=True)
    dsimilarity = w * (dw - (dw * w).sum(axis=1, keepdims=True))
    dstrength = (dsimilarity * cosine).sum(axis=1)
    dcosine = dsimilarity * strength[:, None]
    du, dv = dcosine @ v, dcosine.T @ u
    dkey = (du - (du * u).sum(axis=1, keepdims=True) * u) / key_length
    dmemory = (dv - (dv * v).sum(axis=1, keepdims=True) * v) / row_length
    return dkey, dstrength, dmemory


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, M: int) -> tuple[Any, ...]:
        return rng.normal(size=(K, M)), rng.uniform(0.5, 6, size=K), rng.normal(size=(N, M)), rng.normal(size=(K, N))

    return [case(3, 5, 4), case(1, 6, 2), case(4, 3, 5)]


def _directions(a: Array) -> tuple[Array, Array]:
    length = np.sqrt((a**2).sum(axis=1, keepdims=True))
    return a / length, length


def _numeric(key: Array, strength: Array, memory: Array, dw: Array) -> dict[str, Array]:
    def loss(key: Array, strength: Array, memory: Array) -> float:
        w = softmax(strength[:, None] * (_directions(key)[0] @ _directions(memory)[0].T))
        return float((dw * w).sum())

    return {
        "dkey": numerical_gradient(lambda key: loss(key, strength, memory), key),
        "dstrength": numerical_gradient(lambda strength: loss(key, strength, memory), strength),
        "dmemory": numerical_gradient(lambda memory: loss(key, strength, memory), memory),
    }


def _off(du: Array, u: Array) -> Array:
    """The part of a gradient at right angles to the direction u."""
    return np.asarray(du - (du * u).sum(axis=1, keepdims=True) * u)


def _with(
    logits: Callable[..., Array] = lambda w, dw: w * (dw - (dw * w).sum(axis=1, keepdims=True)),
    factor: Callable[..., Array] = lambda d, strength, cosine: d * strength[:, None],
    to_strength: Callable[..., Array] = lambda d, cosine, strength, w: (d * cosine).sum(axis=1),
    to_key: Callable[..., Array] = lambda du, u, length: _off(du, u) / length,
    to_memory: Callable[..., Array] = lambda dv, v, length: _off(dv, v) / length,
    of_heads: Callable[..., Array] = lambda dcosine, u: dcosine.T @ u,
    w_from: Callable[..., Array] = lambda cosine, strength: softmax(strength[:, None] * cosine),
) -> Any:
    """The solution with one part replaced."""

    def answer(key: Array, strength: Array, memory: Array, dw: Array) -> tuple[Array, Array, Array]:
        (u, key_length), (v, row_length) = _directions(key), _directions(memory)
        cosine = u @ v.T
        w = w_from(cosine, strength)
        d = logits(w, dw)
        dcosine = factor(d, strength, cosine)
        dkey, dmemory = to_key(dcosine @ v, u, key_length), to_memory(of_heads(dcosine, u), v, row_length)
        return dkey, to_strength(d, cosine, strength, w), dmemory

    return answer


EXERCISE = Exercise(
    name="ntm.content_address_backward",
    kind="derive",
    title="Back through a cosine",
    statement="""
        Carry the gradient of the weightings back to the keys, the strengths and the memory. You need the forward pass first:
        cosines, then a softmax over the rows for each head. A key that grows longer changes no cosine. What does that say
        about the angle between a key and its gradient?
    """,
    solution=content_weighting_backward,
    outputs=("dkey", "dstrength", "dmemory"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "In the reverse order of the forward pass: softmax over the rows, then the product of strength and cosine, then the "
        "cosine. All heads look at the same rows, so that dmemory is a sum over heads.",
        "Write the cosine as u · v with directions u = k / |k|, v = m / |m|: `du = dcosine @ v`. On the way through k / |k|, "
        "the part of du along u is lost, and the rest is divided by |k|.",
        "`dkey = (du - (du * u).sum(axis=1, keepdims=True) * u) / key_length`, and dmemory in the same way from "
        "`dv = dcosine.T @ u`. The products of each key with its gradient then sum to 0.",
    ),
    mistakes=(
        Mistake(
            "took the length of the key for a constant",
            "A longer key has a larger length below too. A gradient along the key itself cannot be: no cosine changes.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: du / length),
        ),
        Mistake(
            "took the lengths of the rows for constants",
            "dkey and dstrength are right. A gradient along a row itself cannot be: its length changes no cosine.",
            "ntm-back-content",
            _with(to_memory=lambda dv, v, length: dv / length),
        ),
        Mistake(
            "took the lengths of keys and rows for constants",
            "Both vectors stand also in the denominator. A gradient is at right angles to its vector, because only the angle "
            "counts.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: du / length, to_memory=lambda dv, v, length: dv / length),
        ),
        Mistake(
            "forgot to divide by the length of the key",
            "The longer a key, the less does a step turn it: dkey has 1 / |k| in it.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: _off(du, u)),
        ),
        Mistake(
            "forgot to divide by the lengths of the rows",
            "dkey and dstrength are right. The longer a row, the less does a step turn it.",
            "ntm-back-content",
            _with(to_memory=lambda dv, v, length: _off(dv, v)),
        ),
        Mistake(
            "forgot to divide by the lengths of keys and rows",
            "Yours are the gradients of vectors of length 1; the longer a vector, the less does a step turn it.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: _off(du, u), to_memory=lambda dv, v, length: _off(dv, v)),
        ),
        Mistake(
            "divided dkey by the square of the key's length",
            "Each direction k / |k| has one length in it: 1 / |k| is left in the end.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: _off(du, u) / length**2),
        ),
        Mistake(
            "added the part along the key instead of subtracting it",
            "That part has to vanish: a key that grows along itself changes no cosine, so that the product of both is 0.",
            "ntm-back-content",
            _with(to_key=lambda du, u, length: (2 * du - _off(du, u)) / length),
        ),
        Mistake(
            "forgot the strength on the way to the cosines",
            "The similarity is strength times cosine: the gradient of the cosine has the strength in it.",
            "ntm-back-content",
            _with(factor=lambda d, strength, cosine: d),
        ),
        Mistake(
            "used the strength of the first head for all on the way back",
            "Each head has its own strength: the factor of row k of dcosine is strength[k].",
            "ntm-back-content",
            _with(factor=lambda d, strength, cosine: d * strength[0]),
        ),
        Mistake(
            "forgot the cosines in dstrength",
            "The gradients of the logits of one softmax sum to 0. What counts is which rows are like the key.",
            "ntm-back-content",
            _with(to_strength=lambda d, cosine, strength, w: d.sum(axis=1)),
        ),
        Mistake(
            "multiplied dstrength by the strength",
            "The similarity is a product of strength and cosine: each factor receives the *other* one.",
            "ntm-back-content",
            _with(to_strength=lambda d, cosine, strength, w: (d * cosine).sum(axis=1) * strength),
        ),
        Mistake(
            "averaged dstrength over the rows",
            "A strength acts on all rows, so that their shares add up.",
            "ntm-back-content",
            _with(to_strength=lambda d, cosine, strength, w: (d * cosine).mean(axis=1)),
        ),
        Mistake(
            "left the softmax out",
            "dw is the gradient of the weights; that of the scores before the softmax is w (dw - sum of dw w).",
            "ntm-back-content",
            _with(logits=lambda w, dw: dw),
        ),
        Mistake(
            "used only the derivative of each weight with respect to its own score",
            "w (1 - w) dw forgets that a better row takes weight from all others.",
            "ntm-back-content",
            _with(logits=lambda w, dw: w * (1 - w) * dw),
        ),
        Mistake(
            "left out the path through the sum of the softmax",
            "w dw is what the numerator contributes; the sum over all rows stands below it.",
            "ntm-back-content",
            _with(logits=lambda w, dw: w * dw),
        ),
        Mistake(
            "went back through a softmax over the heads",
            "The weights of one head sum to 1 over the rows, axis 1.",
            "ntm-back-content",
            _with(logits=lambda w, dw: w * (dw - (dw * w).sum(axis=0))),
        ),
        Mistake(
            "left the strength out of the weights",
            "The softmax is that of strength times cosine, on the way there as on the way back.",
            "ntm-content",
            _with(w_from=lambda cosine, strength: softmax(cosine)),
        ),
        Mistake(
            "kept only the last head's share of dmemory",
            "All heads look at the same rows, so that their shares add up.",
            "ntm-back-content",
            _with(of_heads=lambda dcosine, u: np.outer(dcosine[-1], u[-1])),
        ),
        Mistake(
            "averaged dmemory over the heads",
            "What is used by K heads receives the sum of their gradients, not the mean.",
            "ntm-back-content",
            _with(of_heads=lambda dcosine, u: dcosine.T @ u / len(u)),
        ),
    ),
)
