"""One step of a neural Turing machine, one number at a time, by the paper's equations; and the mistakes people make in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion.heads import NTMSizes
from companion.lstm import LSTM
from companion.ntm import Feedforward
from companion.tree import tree_map

# The controllers and sizes of NTMS.
SIZES = {
    "NTM, LSTM": (LSTM, NTMSizes(6, 4)),
    "NTM, feedforward, several heads": (Feedforward, NTMSizes(7, 3, read_heads=2, write_heads=2, shift_range=2)),
}
MISTAKES = [
    "shifts the other way round",
    "dot product for cosine",
    "gate the other way round",
    "powers not divided",
    "strength as it comes",
    "sharpness below 1",
    "heads that write first",
    "adds before it erases",
    "reads what it writes",
]


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def softplus(z: float) -> float:
    return math.log(1 + math.exp(z))


def divided(numbers: list[float]) -> list[float]:
    return [v / sum(numbers) for v in numbers]


def cosine(u: Any, v: Any) -> float:
    return sum(a * b for a, b in zip(u, v, strict=True)) / math.dist(u, [0] * len(u)) / math.dist(v, [0] * len(v))


def weighting(
    key: Any, strength: float, gate: float, s: Any, gamma: float, memory: Any, w: Any, mistake: str
) -> list[float]:
    """The four stages for one head, eqs. 5-9."""
    N, reach, sign = len(memory), len(s) // 2, 1 if mistake == "shifts the other way round" else -1
    like = [key @ row if mistake == "dot product for cosine" else cosine(key, row) for row in memory]
    content = divided([math.exp(strength * v) for v in like])
    g = 1 - gate if mistake == "gate the other way round" else gate
    mixed = [g * content[n] + (1 - g) * w[n] for n in range(N)]
    moved = [sum(s[reach + j] * mixed[(n + sign * j) % N] for j in range(-reach, reach + 1)) for n in range(N)]
    powers = [v**gamma for v in moved]
    return powers if mistake == "powers not divided" else divided(powers)


def written(memory: Any, w: Any, erase: Any, add: Any, mistake: str) -> Any:
    """Eqs. 3 and 4 for all heads, numbers before they are squashed: all erase before any adds."""
    after = memory.copy()
    for n, m in np.ndindex(memory.shape):
        kept = math.prod(1 - w_k[n] * sigma(e[m]) for w_k, e in zip(w, erase, strict=True))
        added = sum(w_k[n] * math.tanh(a[m]) for w_k, a in zip(w, add, strict=True))
        first = mistake == "adds before it erases"
        after[n, m] = (memory[n, m] + added) * kept if first else memory[n, m] * kept + added
    return after


def step(name: str, params: Any, x: Any, state: Any, mistake: str = "") -> tuple[Any, Any, Any, Any]:
    """y, memory, weightings and what is read of one example after a step; the controller is tested elsewhere."""
    controller, (_, M, n_read, n_write, reach) = SIZES[name]
    seen = np.concatenate([x, state.reads.ravel()])[None]
    h = controller.step(params.controller, seen, tree_map(lambda a: a[None], state.controller))[0][0]
    z, heads = list(params.W_z @ h + params.b_z), range(n_read + n_write)

    def take(count: int) -> list[float]:
        return [z.pop(0) for _ in range(count)]

    keys = [np.tanh(take(M)) for _ in heads]
    strengths = [v if mistake == "strength as it comes" else softplus(v) for v in take(len(heads))]
    gates = [sigma(v) for v in take(len(heads))]
    shifts = [divided([math.exp(v) for v in take(2 * reach + 1)]) for _ in heads]
    sharpness = [(0 if mistake == "sharpness below 1" else 1) + softplus(v) for v in take(len(heads))]
    erase, add = ([take(M) for _ in range(n_write)] for _ in range(2))
    of_heads = zip(keys, strengths, gates, shifts, sharpness, strict=True)
    w = [weighting(*values, state.memory, state.w[k], mistake) for k, values in enumerate(of_heads)]
    reading, writing = (w[n_write:], w[:n_write]) if mistake == "heads that write first" else (w[:n_read], w[n_read:])
    memory = written(state.memory, writing, erase, add, mistake)
    reads = np.array(reading) @ (memory if mistake == "reads what it writes" else state.memory)
    return np.append(h, reads), memory, np.array(w), reads
