"""Implement: one read head through a whole sequence, all four stages at every step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def follow_head(
    keys: Array,
    strengths: Array,
    gates: Array,
    s: Array,
    sharpness: Array,
    memory: Array,
    w_0: Array,
) -> tuple[Array, Array]:
    """What a head is told, memory (N, M), first weighting w_0 (N,) -> ws, reads.

    keys (T, M); strengths, gates, sharpness (T,); s (T, S), S odd.
    ws (T, N) where the head stands after each step, reads (T, M) what it sees.
    """
    w, ws = w_0, []
    R = s.shape[1] // 2
    for t in range(len(keys)):
        cosine = memory @ keys[t] / (np.linalg.norm(memory, axis=1) * np.linalg.norm(keys[t]))
        e = np.exp(strengths[t] * (cosine - cosine.max()))
        w = gates[t] * e / e.sum() + (1 - gates[t]) * w
        w = sum(s[t, i] * np.roll(w, i - R) for i in range(2 * R + 1))
        w = w ** sharpness[t] / (w ** sharpness[t]).sum()
        ws.append(w)
    return np.stack(ws), np.stack(ws) @ memory


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, N: int, M: int, S: int) -> tuple[Any, ...]:
        s = softmax(rng.normal(size=(T, S)))
        told = rng.normal(size=(T, M)), rng.uniform(1, 9, T), rng.uniform(0.1, 0.9, T), s, rng.uniform(1, 4, T)
        return (*told, rng.normal(size=(N, M)), softmax(2 * rng.normal(size=N)))

    return [case(5, 7, 4, 3), case(3, 6, 3, 5), case(1, 5, 2, 3)]


Stage = Callable[..., Array]


def _content(key: Array, strength: float, memory: Array) -> Array:
    cosine = memory @ key / (np.linalg.norm(memory, axis=1) * np.linalg.norm(key))
    return softmax(strength * cosine)


def _gated(w_c: Array, g: float, prev: Array) -> Array:
    return g * w_c + (1 - g) * prev


def _shifted(w: Array, s: Array) -> Array:
    moved: Array = np.sum([s_i * np.roll(w, i - len(s) // 2) for i, s_i in enumerate(s)], axis=0)
    return moved


def _sharp(w: Array, gamma: float) -> Array:
    power: Array = w**gamma / (w**gamma).sum()
    return power


def _with(
    content: Stage = _content,
    gated: Stage = _gated,
    shifted: Stage = _shifted,
    sharp: Stage = _sharp,
    order: tuple[str, ...] = ("gate", "shift", "sharpen"),
    kept: Callable[[dict[str, Array]], Array] = lambda after: after["end"],
    read: Callable[..., Array] = lambda ws, memory, w_0: ws @ memory,
) -> Any:
    """The solution with one stage, their order, or what goes on to the next step replaced; `after` holds w after each stage."""

    def answer(
        keys: Array, strengths: Array, gates: Array, s: Array, sharpness: Array, memory: Array, w_0: Array
    ) -> Any:
        prev, ws = w_0, []
        for t in range(len(keys)):
            w = content(keys[t], strengths[t], memory)
            after = {"start": w_0, "content": w}
            for stage in order:
                if stage == "gate":
                    w = gated(w, gates[t], prev)
                else:
                    w = shifted(w, s[t]) if stage == "shift" else sharp(w, sharpness[t])
                after[stage] = w
            after["end"] = w
            ws.append(w)
            prev = kept(after)
        return np.stack(ws), read(np.stack(ws), memory, w_0)

    return answer


EXERCISE = Exercise(
    name="ntm.address",
    kind="implement",
    title="Follow one head",
    statement="""
        One read head goes through a whole sequence over a memory that nobody writes to. Given what it is told at each of T
        steps, return where it stands after each step, and what it reads there. The moves of `s` are in the order -R, ..., R,
        with S = 2 R + 1: those of s[t, 0] go back. No row of the memory and no key is zero. Write all four stages yourself, and
        think about which of the weightings that a step makes is the one that the next step begins with.
    """,
    solution=follow_head,
    outputs=("ws", "reads"),
    cases=_cases,
    hints=(
        "Write one step, from the old weighting to the new one: content, interpolate, shift, sharpen. Only the second stage "
        "looks at the old weighting.",
        "w_c is a softmax over rows of strength times cosine; then `g * w_c + (1 - g) * w`; then the sum over the moves of "
        "s[t, i] times np.roll(w, i - R), which goes round the end; then w^gamma by its sum.",
        "One variable w for all of it is enough: begin with w_0, and let each line replace it, so that the next step begins with "
        "the sharpened one. At the end all reads at once are `np.stack(ws) @ memory`.",
    ),
    mistakes=(
        Mistake(
            "began every step from w_0",
            "The first step is right. The second begins where the first has left the head.",
            "ntm-interpolate",
            _with(kept=lambda after: after["start"]),
        ),
        Mistake(
            "began a step from the content weighting of the step before",
            "w' is where the head stood, after all four stages. Else it would forget at each step how far it has moved.",
            "ntm-interpolate",
            _with(kept=lambda after: after["content"]),
        ),
        Mistake(
            "began a step from the weighting before the shift",
            "w' is where the head stood after all four stages of the step before. Yours takes every move back.",
            "ntm-interpolate",
            _with(kept=lambda after: after["gate"]),
        ),
        Mistake(
            "began a step from the weighting that was not sharpened yet",
            "The blur of a shift then piles up: w' is what the step before has ended with, after sharpening.",
            "ntm-sharpen",
            _with(kept=lambda after: after["shift"]),
        ),
        Mistake(
            "exchanged g and 1 - g",
            "A gate of 1 looks for the key, and a gate of 0 stays with the weighting before.",
            "ntm-interpolate",
            _with(gated=lambda w_c, g, prev: g * prev + (1 - g) * w_c),
        ),
        Mistake(
            "added the content to the weighting before without a share for each",
            "w' + w_c counts both in full, and sharpening hides that the sum is 2. The gate says how much of each.",
            "ntm-interpolate",
            _with(gated=lambda w_c, g, prev: w_c + prev),
        ),
        Mistake(
            "left out the gate",
            "Yours goes by the content alone, as with a gate of 1.",
            "ntm-interpolate",
            _with(gated=lambda w_c, g, prev: w_c),
        ),
        Mistake(
            "left out the content",
            "Yours goes by the weighting before alone, as with a gate of 0.",
            "ntm-content",
            _with(gated=lambda w_c, g, prev: prev),
        ),
        Mistake(
            "shifted the wrong way",
            "s[t, 0] belongs to the move -R: it takes what stands at row n to row n - R.",
            "ntm-shift",
            _with(shifted=lambda w, s: _shifted(w, s[::-1])),
        ),
        Mistake(
            "counted the moves from 0",
            "s[t, 0] is the move -R, and the middle one stays: roll by i - R.",
            "ntm-shift",
            _with(shifted=lambda w, s: np.roll(_shifted(w, s), len(s) // 2)),
        ),
        Mistake(
            "rolled by i - 1, which is right for three moves only",
            "With S = 2 R + 1 moves the one in the middle stays: roll by i - R.",
            "ntm-shift",
            _with(shifted=lambda w, s: np.roll(_shifted(w, s), len(s) // 2 - 1)),
        ),
        Mistake(
            "left out the shift",
            "Between the gate and the sharpening the head moves.",
            "ntm-shift",
            _with(shifted=lambda w, s: w),
        ),
        Mistake(
            "lost what moves over the end",
            "The memory is a ring: what leaves the last row arrives at row 0.",
            "ntm-shift",
            _with(shifted=lambda w, s: np.convolve(w, s)[len(s) // 2 : len(s) // 2 + len(w)]),
        ),
        Mistake(
            "sharpened before the shift",
            "Sharpening comes last, because the shift is what blurs.",
            "ntm-sharpen",
            _with(order=("gate", "sharpen", "shift")),
        ),
        Mistake(
            "shifted and sharpened the content before the gate",
            "The gate comes second: the shift also moves what is kept of the weighting before. Else a head with a gate of 0 "
            "could not move.",
            "ntm-interpolate",
            _with(order=("shift", "sharpen", "gate")),
        ),
        Mistake(
            "shifted the content before the gate",
            "The gate comes second: what is kept of the weighting before moves with the rest.",
            "ntm-interpolate",
            _with(order=("shift", "gate", "sharpen")),
        ),
        Mistake(
            "left out the sharpening",
            "Each shift blurs a little, and without the fourth stage the blur piles up.",
            "ntm-sharpen",
            _with(sharp=lambda w, gamma: w),
        ),
        Mistake(
            "did not divide by the sum after the power",
            "Powers of numbers below 1 are smaller: what the head carries to the next step gets less and less.",
            "ntm-sharpen",
            _with(sharp=lambda w, gamma: w**gamma),
        ),
        Mistake(
            "sharpened with a softmax",
            "The fourth stage raises weights to the power gamma. A softmax raises e to gamma w: the rows become nearly alike.",
            "ntm-sharpen",
            _with(sharp=lambda w, gamma: softmax(gamma * w)),
        ),
        Mistake(
            "took the dot product instead of the cosine",
            "Divide by both norms: a large row is not more alike than a small one in the same direction.",
            "ntm-cosine",
            _with(content=lambda key, strength, memory: softmax(strength * memory @ key)),
        ),
        Mistake(
            "left the strength out",
            "The cosines, between -1 and 1, are multiplied by the strength before the softmax.",
            "ntm-content",
            _with(content=lambda key, strength, memory: _content(key, 1.0, memory)),
        ),
        Mistake(
            "multiplied by the strength after the softmax",
            "There it only makes the content heavier against the weighting before. In the softmax it makes it more pointed.",
            "ntm-content",
            _with(content=lambda key, strength, memory: strength * _content(key, 1.0, memory)),
        ),
        Mistake(
            "read before the head had moved",
            "Where the head stands is right. It reads there, not where it stood before the step.",
            "ntm-read",
            _with(read=lambda ws, memory, w_0: np.concatenate([w_0[None], ws[:-1]]) @ memory),
        ),
        Mistake(
            "read only the row with the largest weight",
            "Where the head stands is right. What it reads is the mean of all rows, each with its weight.",
            "ntm-read",
            _with(read=lambda ws, memory, w_0: memory[ws.argmax(axis=1)]),
        ),
    ),
)
