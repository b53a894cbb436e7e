"""Extend: say by hand to one head what a controller would have to learn to say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.judge import Problem
from companion.exercises.ntm.told_by_hand import Told, checked, diagnosis
from companion.tree import Array


def run_head(
    xs: Array,
    memory: Array,
    row: int,
    key: Array,
    strength: Array,
    gate: Array,
    move: Array,
    sharpness: Array,
    erase: Array,
) -> Array:
    """Inputs xs (T, M), memory (N, M), first row, what is told -> reads (T, M)."""
    w, reads = np.eye(len(memory))[row], []
    for t in range(len(xs)):
        norms = np.linalg.norm(memory, axis=1) * np.linalg.norm(key[t]) + 1e-9
        cosine = memory @ key[t] / norms
        e = np.exp(strength[t] * (cosine - cosine.max()))
        w = gate[t] * e / e.sum() + (1 - gate[t]) * w
        beside = np.roll(w, move[t] - 1) + np.roll(w, move[t] + 1)
        w = (0.9 * np.roll(w, move[t]) + 0.05 * beside) ** sharpness[t]
        w = w / w.sum()
        reads.append(w @ memory)
        memory = memory * (1 - erase[t] * w[:, None]) + w[:, None] * xs[t]
    return np.stack(reads)


def head_by_hand(L: int, M: int) -> tuple[Array, ...]:
    """L vectors, M numbers a row -> key, strength, gate, move, sharpness, erase.

    key (T, M), all others (T,); T = 2 L + 1 steps: the mark, L vectors, L answers.
    """
    answer = np.arange(2 * L + 1) > L
    key = np.zeros((2 * L + 1, M))
    key[:, 0] = 1
    gate = np.where(np.arange(2 * L + 1) == L + 1, 1.0, 0.0)
    steady = np.ones(2 * L + 1)
    return key, 50 * steady, gate, np.ones(2 * L + 1, int), 10 * steady, np.where(answer, 0.0, 1.0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """In the last two the head goes round the end of the memory."""

    def case(L: int, M: int, N: int, row: int) -> tuple[Any, ...]:
        xs, memory = np.zeros((2 * L + 1, M)), rng.integers(0, 2, (N, M)) * 1.0
        xs[0, 0], memory[:, 0] = 1, 0
        xs[1 : L + 1, 1:] = rng.integers(0, 2, (L, M - 1))
        return L, M, xs, memory, row

    return [case(4, 8, 11, 2), case(1, 5, 6, 0), case(2, 7, 5, 4), case(9, 9, 12, 8)]


def _run(answer: Any, L: int, M: int, xs: Array, memory: Array, row: int) -> dict[str, Any]:
    """What the head reads in the answering steps; what is clearly a bit counts as this bit.

    If that is wrong, raises Problem with the mistake that is in what was told: its numbers depend on much that is harmless.
    """
    returned = answer(L, M)
    if returned is None or returned is ...:
        return {"what it reads": returned}
    told = checked(returned, L, M)
    reads = run_head(xs, memory, row, *told)[L + 1 :]
    clear = np.where(np.abs(reads - 1) < 0.1, 1.0, np.where(np.abs(reads) < 0.1, 0.0, reads))
    if not isinstance(answer, Changed) and not np.array_equal(clear, xs[1 : L + 1]):
        for mistake in EXERCISE.mistakes:
            if mistake.name == diagnosis(told):
                reread = f"Reread equation ({mistake.equation.replace('-', ' ')})."
                raise Problem(f"It looks as if you {mistake.name}. {mistake.effect} {reread}", mistake.name)
    return {"what it reads": clear}


class Changed(NamedTuple):
    """A known mistake: the solution with some of what is told replaced, each by a function of the step t (T,) and of L."""

    what: dict[str, Callable[..., Any]]

    def __call__(self, L: int, M: int) -> Told:
        """What the head is told, for L vectors and rows of M numbers."""
        t = np.arange(2 * L + 1)
        return Told(*head_by_hand(L, M))._replace(**{name: f(t, L) + 0 * t for name, f in self.what.items()})


def _with(**changed: Callable[..., Any]) -> Changed:
    return Changed(changed)


EXERCISE = Exercise(
    name="ntm.copy_by_hand",
    kind="extend",
    title="Copy, by hand",
    statement="""
        Be the controller. The machine below has one head, which reads and writes. At the first step it is shown a mark,
        (1, 0, 0, ...), then L vectors of bits that begin with 0, and then L times nothing but zeros: in these last L steps it
        has to read the vectors, in their order. You do not know the vectors, nor the row at which the head stands before the
        first step; the memory is full of bits that somebody has left behind, its first column alone is empty. What you say to
        the head at each step depends on the step only: a key, its strength, the gate, a move of -1, 0 or 1 rows, which the head
        makes with a share of 0.9, the rest going to both sides, the sharpness, and the share of the row that is erased. What it
        adds is what it is shown, and as everywhere it reads before it writes. Numbers within 0.1 of a bit count as this bit.
        Whatever reads the right bits is right, for L of at most 9 and at least L + 3 rows. Allowed are keys of numbers in
        -1 ... 1, not all of them 0; a strength above 0 and at most 1000; a sharpness of 1 to 100; 0 ... 1 for gate and erase. A
        key and a strength are also needed where the gate is 0 and nothing depends on them.
    """,
    solution=head_by_hand,
    outputs=("what it reads",),
    run=_run,
    cases=_cases,
    arguments=("L", "M", "xs", "memory", "row"),
    given=(run_head,),
    hints=(
        "Writing needs no key: keep the gate at 0 and move on one row at each step, so that no vector lands on another, and "
        "sharpen so that none is smeared. And what is in a row before it is written to?",
        "After the last vector the head stands L rows behind the mark, and one step moves one row. But the mark is unlike every "
        "other row in its first number. Which key finds it, with which gate, and which move follows in the same step?",
        "Key (1, 0, 0, ...) at strength 50, sharpness 10, move +1 at every step. Gate 1 at step L + 1 only, where the head finds "
        "the mark and moves on to the first vector. Erase 1 up to step L, and 0 after it.",
    ),
    mistakes=(
        Mistake(
            "never went back",
            "With the gate at 0 the head goes on from the last vector to rows that hold what somebody has left. At step L + 1 it "
            "has to look for the mark.",
            "ntm-interpolate",
            _with(gate=lambda t, L: 0.0),
        ),
        Mistake(
            "stayed at the mark",
            "The first answer is the mark itself, and the others come a step late: find the mark *and* move on by one row, in "
            "one step.",
            "ntm-shift",
            _with(move=lambda t, L: np.where(t == L + 1, 0, 1)),
        ),
        Mistake(
            "read the first vector at every answer",
            "Look for the mark once, and from there walk on, with the gate at 0 and a move by one row at each answer.",
            "ntm-interpolate",
            _with(gate=lambda t, L: np.where(t > L, 1.0, 0.0)),
        ),
        Mistake(
            "looked for the mark one step late",
            "The first answer is due at step L + 1, counted from 0: the mark, L vectors, then the answers.",
            "ntm-interpolate",
            _with(gate=lambda t, L: np.where(t == L + 2, 1.0, 0.0)),
        ),
        Mistake(
            "looked for the mark one step early",
            "At step L the last vector is shown, and is now written over the first. The first answer is due at step L + 1.",
            "ntm-interpolate",
            _with(gate=lambda t, L: np.where(t == L, 1.0, 0.0)),
        ),
        Mistake(
            "looked for the mark while writing",
            "Each vector then lands on the row behind the mark. With the gate at 0 the head stays on its own way.",
            "ntm-interpolate",
            _with(gate=lambda t, L: np.where(t > 0, 1.0, 0.0) * (t <= L + 1)),
        ),
        Mistake(
            "did not erase",
            "What is added comes on top of the bits that somebody has left in the row: 1 + 1 is no bit. To erase while answering "
            "is too late.",
            "ntm-write",
            _with(erase=lambda t, L: 0.0),
        ),
        Mistake(
            "erased only a part",
            "The rest of what somebody has left is still there when the vector is added. Erase all of the row, with 1.",
            "ntm-write",
            _with(erase=lambda t, L: np.where(t > L, 0.0, 0.5)),
        ),
        Mistake(
            "wrote everything into one row",
            "Without a move each vector erases the one before it, and the mark as well.",
            "ntm-shift",
            _with(move=lambda t, L: np.where(t > L, 1, 0)),
        ),
        Mistake(
            "read in the opposite order of writing",
            "You wrote in one direction and walk in the other: at the mark, turn to where the vectors are.",
            "ntm-shift",
            _with(move=lambda t, L: np.where(t > L, -1, 1)),
        ),
        Mistake(
            "walked back without looking for the mark",
            "The vectors come in the opposite order, and the last one not at all.",
            "ntm-interpolate",
            _with(gate=lambda t, L: 0.0, move=lambda t, L: np.where(t > L, -1, 1)),
        ),
        Mistake(
            "moved from the mark to the wrong side",
            "The first vector stands where the head moved to after writing the mark: move the same way again.",
            "ntm-shift",
            _with(move=lambda t, L: np.where(t == L + 1, -1, 1)),
        ),
        Mistake(
            "did not sharpen",
            "A tenth goes astray at every step, when writing and when reading: after a few steps all is a blur.",
            "ntm-sharpen",
            _with(sharpness=lambda t, L: 1.0),
        ),
        Mistake(
            "sharpened only when reading",
            "What was written by a blurred head stands in several rows, and no reading puts it together again.",
            "ntm-sharpen",
            _with(sharpness=lambda t, L: np.where(t > L, 10.0, 1.0)),
        ),
        Mistake(
            "kept the gate open all the time",
            "Before the mark is written no row looks like it, and the head is everywhere at once. Write with the gate at 0.",
            "ntm-interpolate",
            _with(gate=lambda t, L: 1.0),
        ),
        Mistake(
            "sharpened only when writing",
            "The memory is right. But the head that reads it blurs more at each step.",
            "ntm-sharpen",
            _with(sharpness=lambda t, L: np.where(t > L, 1.0, 10.0)),
        ),
        Mistake(
            "looked for the mark with a strength too low",
            "With a strength of 1, a cosine of 1 against 0 weighs e = 2.7 times as much, and most of the head is at other rows: "
            "turn the strength up.",
            "ntm-content",
            _with(strength=lambda t, L: 1.0, sharpness=lambda t, L: 2.0),
        ),
        Mistake(
            "opened the gate half",
            "Half of the head stays where it is, and reads there what somebody has left.",
            "ntm-interpolate",
            _with(gate=lambda t, L: np.where(t == L + 1, 0.5, 0.0)),
        ),
    ),
)
