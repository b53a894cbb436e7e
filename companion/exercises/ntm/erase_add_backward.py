"""Derive: back through several heads that write at once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid, softmax
from companion.tree import Array


def written_by_all_backward(
    memory: Array, w: Array, erase: Array, add: Array, dafter: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradient dafter (N, M) of the new memory -> dmemory, dw, derase, dadd.

    memory (N, M) before the write, w (K, N), erase and add (K, M).
    """
    kept = 1 - w[:, :, None] * erase[:, None]  # (K, N, M)
    dmemory = dafter * kept.prod(axis=0)
    dw, dadd = add @ dafter.T, w @ dafter
    derase = np.zeros_like(erase)
    for k in range(len(w)):
        others = np.delete(kept, k, axis=0).prod(axis=0)
        dshare = -dafter * memory * others  # of the share w(n) e that head k erases
        dw[k] += dshare @ erase[k]
        derase[k] = w[k] @ dshare
    return dmemory, dw, derase, dadd


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, M: int) -> tuple[Any, ...]:
        w = softmax(rng.normal(size=(K, N)))
        memory, dafter = rng.normal(size=(2, N, M))
        return memory, w, sigmoid(rng.normal(size=(K, M))), rng.normal(size=(K, M)), dafter

    memory, w, erase, add, dafter = case(2, 5, 3)
    w[0], erase[0] = np.eye(5)[2], 1  # this head leaves nothing of its row
    return [case(3, 5, 4), case(1, 6, 3), (memory, w, erase, add, dafter)]


def _numeric(memory: Array, w: Array, erase: Array, add: Array, dafter: Array) -> dict[str, Array]:
    def loss(memory: Array, w: Array, erase: Array, add: Array) -> float:
        return float((dafter * (memory * (1 - w[:, :, None] * erase[:, None]).prod(axis=0) + w.T @ add)).sum())

    return {
        "dmemory": numerical_gradient(lambda memory: loss(memory, w, erase, add), memory),
        "dw": numerical_gradient(lambda w: loss(memory, w, erase, add), w),
        "derase": numerical_gradient(lambda erase: loss(memory, w, erase, add), erase),
        "dadd": numerical_gradient(lambda add: loss(memory, w, erase, add), add),
    }


def _others(kept: Array) -> Array:
    """What all heads but one keep, for each head: (K, N, M)."""
    return np.stack([np.delete(kept, k, axis=0).prod(axis=0) for k in range(len(kept))])


def _with(
    to_memory: Callable[[Array], Array] = lambda kept: kept.prod(axis=0),
    others: Callable[[Array], Array] = _others,
    to_share: Callable[..., Array] = lambda dafter, memory, w, add: -dafter * memory,
    dw: Callable[..., Array] = lambda erased, added: erased + added,
    derase: Callable[..., Array] = lambda dshare, w, erase: (w[:, :, None] * dshare).sum(axis=1),
    dadd: Callable[..., Array] = lambda dafter, w, erase: w @ dafter,
) -> Any:
    """The solution with one part replaced."""

    def answer(memory: Array, w: Array, erase: Array, add: Array, dafter: Array) -> tuple[Array, ...]:
        kept = 1 - w[:, :, None] * erase[:, None]
        dshare = to_share(dafter, memory, w, add) * others(kept)
        from_w = dw((dshare * erase[:, None]).sum(axis=2), add @ dafter.T)
        return dafter * to_memory(kept), from_w, derase(dshare, w, erase), dadd(dafter, w, erase)

    return answer


def _exchanged(*case: Array) -> tuple[Array, ...]:
    dmemory, dw, derase, dadd = written_by_all_backward(*case)
    return dmemory, dw, dadd, derase


EXERCISE = Exercise(
    name="ntm.erase_add_backward",
    kind="derive",
    title="Back through a write",
    statement="""
        K heads have written into one memory: it was multiplied by what each of them keeps, 1 - w(n) e, and then w(n) a of
        each was added. Carry the gradient of the new memory back to the old one and to what the heads gave. Equation (ntm
        back write) is for one head; what changes for one of several? A head may erase a number completely.
    """,
    solution=written_by_all_backward,
    outputs=("dmemory", "dw", "derase", "dadd"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Begin with the sum: what was added to a row is w(n) a, and no other head changes it; so each of w(n) and a gets the "
        "gradient of the row times the other. Then the old memory: it was multiplied by the product of what all heads keep.",
        "In code the sum is `dadd = w @ dafter`, and its part of dw `add @ dafter.T`. Take the share u = w(n) e that head k "
        "erases for itself: the new memory has the factor 1 - u in it once, beside the old memory and what the *other* heads "
        "keep. So du = - dafter * memory * others.",
        "In a loop over k: `others = np.delete(kept, k, axis=0).prod(axis=0)`, `dshare = -dafter * memory * others`, then "
        "`dw[k] += dshare @ erase[k]` and `derase[k] = w[k] @ dshare`. Do not divide the product by kept[k], which may be 0.",
    ),
    mistakes=(
        Mistake(
            "passed the gradient to the old memory in full",
            "What was erased has no influence any more: the gradient goes back with the share that was kept.",
            "ntm-back-write",
            _with(to_memory=lambda kept: np.ones_like(kept[0])),
        ),
        Mistake(
            "passed the gradient to the old memory through the last head only",
            "The old memory was multiplied by what *every* head keeps.",
            "ntm-back-write",
            _with(to_memory=lambda kept: kept[-1]),
        ),
        Mistake(
            "passed the gradient to the old memory through what was erased",
            "The share w(n) e of it is gone; 1 - w(n) e is what was kept.",
            "ntm-back-write",
            _with(to_memory=lambda kept: (1 - kept).prod(axis=0)),
        ),
        Mistake(
            "summed over the heads what the old memory receives",
            "It was multiplied by all heads together, once: the shares that they keep multiply.",
            "ntm-back-write",
            _with(to_memory=lambda kept: kept.sum(axis=0)),
        ),
        Mistake(
            "took 1 minus the sum of the erased shares for what the heads keep",
            "The second head erases a share of what the first has left: what they keep multiplies. With one head it is right.",
            "ntm-write",
            _with(to_memory=lambda kept: 1 - (1 - kept).sum(axis=0)),
        ),
        Mistake(
            "left the other heads out of what one of them erases",
            "What one head erases matters only as far as the others leave something. With one head it is right.",
            "ntm-back-write",
            _with(others=np.ones_like),
        ),
        Mistake(
            "multiplied by what all heads keep, the head itself included",
            "The derivative of a product by one factor holds the *other* factors.",
            "ntm-back-write",
            _with(others=lambda kept: np.broadcast_to(kept.prod(axis=0), kept.shape)),
        ),
        Mistake(
            "divided the product over all heads by what one keeps",
            "That is right until a head erases a number completely: then it is 0 / 0.",
            "ntm-back-write",
            _with(others=lambda kept: kept.prod(axis=0) / kept),
        ),
        Mistake(
            "forgot the minus sign of the erased share",
            "More erased is less kept: the share enters as 1 - w(n) e.",
            "ntm-back-write",
            _with(to_share=lambda dafter, memory, w, add: dafter * memory),
        ),
        Mistake(
            "forgot the old memory in dw and derase",
            "To erase changes nothing where there was nothing: the factor is what the memory held.",
            "ntm-back-write",
            _with(to_share=lambda dafter, memory, w, add: -dafter),
        ),
        Mistake(
            "took what was added to be erased too",
            "All heads erase before any adds: the factor is what the memory held before the write.",
            "ntm-back-write",
            _with(to_share=lambda dafter, memory, w, add: -dafter * (memory + w.T @ add)),
        ),
        Mistake(
            "forgot the path of the weights through what was added",
            "The weight says where to erase *and* where to add, which are two paths; yours has the first only.",
            "ntm-back-write",
            _with(dw=lambda erased, added: erased),
        ),
        Mistake(
            "forgot the path of the weights through what was erased",
            "The weight says where to erase *and* where to add, which are two paths; yours has the second only.",
            "ntm-back-write",
            _with(dw=lambda erased, added: added),
        ),
        Mistake(
            "subtracted the two paths of the weights",
            "What is used twice receives the sum of both gradients; the minus sign belongs to the erased share alone.",
            "ntm-back-write",
            _with(dw=lambda erased, added: added - erased),
        ),
        Mistake(
            "forgot the weights in derase",
            "A head erases most where it stands: row n takes part with its weight.",
            "ntm-back-write",
            _with(derase=lambda dshare, w, erase: dshare.sum(axis=1)),
        ),
        Mistake(
            "went on through the logistic function in derase",
            "Asked is the gradient of the erase vector itself, without the slope e (1 - e).",
            "ntm-back-write",
            _with(derase=lambda dshare, w, erase: (w[:, :, None] * dshare).sum(axis=1) * erase * (1 - erase)),
        ),
        Mistake(
            "forgot the weights in dadd",
            "Row n received w(n) a: the gradient comes back with the same weight.",
            "ntm-back-write",
            _with(dadd=lambda dafter, w, erase: np.repeat(dafter.sum(axis=0, keepdims=True), len(w), axis=0)),
        ),
        Mistake(
            "returned derase and dadd in the other order",
            "All four are right; the order is dmemory, dw, derase, dadd.",
            "ntm-back-write",
            _exchanged,
        ),
        Mistake(
            "sent the gradient of what was added through the erase vector",
            "What is added is added after the erasing, and untouched by it.",
            "ntm-back-write",
            _with(dadd=lambda dafter, w, erase: (w @ dafter) * (1 - erase)),
        ),
    ),
)
