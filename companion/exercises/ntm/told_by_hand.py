"""What a head was told, in the exercise `copy_by_hand`: whether it is allowed, and what is wrong with it."""

from typing import Any, NamedTuple

import numpy as np

from companion.exercises.compare import described
from companion.exercises.judge import Problem
from companion.tree import Array


class Told(NamedTuple):
    """What the head is told at each of T = 2 L + 1 steps: the mark, L vectors, L answers."""

    key: Array  # (T, M)
    strength: Array  # (T,), as all below
    gate: Array
    move: Array
    sharpness: Array
    erase: Array


RANGES = (
    "numbers in -1 ... 1, not all 0",
    "a number above 0 and at most 1000",
    "a number in 0 ... 1",
    "-1, 0 or 1",
    "a number in 1 ... 100",
    "a number in 0 ... 1",
)


def checked(answer: Any, L: int, M: int) -> Told:
    """The six arrays, if their shapes and ranges are right; raises Problem otherwise."""
    T = 2 * L + 1
    if not isinstance(answer, tuple | list) or len(answer) != len(Told._fields):
        got = f"a {type(answer).__name__} of {len(answer)}" if isinstance(answer, tuple | list) else described(answer)
        raise Problem(f"head_by_hand returned {got}, expected a tuple of 6: return {', '.join(Told._fields)}.")
    arrays = []
    for name, value in zip(Told._fields, answer, strict=True):
        try:
            array = np.array(value, dtype=float)
        except (TypeError, ValueError):
            raise Problem(f"head_by_hand: {name} holds something else than numbers.") from None
        shape = (T, M) if name == "key" else (T,)
        if array.shape != shape:
            raise Problem(f"head_by_hand: {name} has shape {array.shape}, expected {shape} for L = {L} and M = {M}.")
        arrays.append(array)
    told = Told(*arrays)
    for name, array, expected, allowed in zip(Told._fields, told, RANGES, _allowed(told), strict=True):
        if not allowed.all():
            t = int(np.argwhere(~allowed)[0, 0])
            raise Problem(f"head_by_hand: {name} at step {t} is {array[t]}, expected {expected}.")
    return told._replace(move=told.move.astype(int))


def _allowed(told: Told) -> list[Any]:
    key, strength, gate, move, sharpness, erase = told
    return [
        (np.abs(key) <= 1).all(axis=1) & key.any(axis=1),
        (strength > 0) & (strength <= 1000),
        (gate >= 0) & (gate <= 1),
        np.isin(move, (-1, 0, 1)),
        (sharpness >= 1) & (sharpness <= 100),
        (erase >= 0) & (erase <= 1),
    ]


def diagnosis(told: Told) -> str | None:
    """The name of a mistake of `copy_by_hand` that is in what was told, whatever else was chosen; None if none is known.

    Ask only when the head has read wrong. What does harm in every plan comes first, what a plan may get away with last.
    """
    return _of_gate(told.gate, told.move) or _of_writing(told) or _of_moves(told.move) or _of_focus(told)


def _of_gate(gate: Array, move: Array) -> str | None:
    """Steps after the mark: L vectors, then L answers."""
    L = len(gate) // 2
    is_open = gate > 0.5
    writing, answers = is_open[1 : L + 1], is_open[L + 1 :]
    if is_open.all():
        return "kept the gate open all the time"
    if gate[1:].max() < 0.05:
        back = (move[1 : L + 1] == -move[-1]).all() and (move[L + 1 :] == move[-1]).all() and move[-1]
        return "walked back without looking for the mark" if back else "never went back"
    if writing[-1] and not writing[:-1].any() and not answers.any():
        return "looked for the mark one step early"
    if writing.any():
        return "looked for the mark while writing"
    if L > 1 and answers.all():
        return "read the first vector at every answer"
    if answers[1:2].all() and L > 1 and gate[L + 1] < 0.05:
        return "looked for the mark one step late"
    return None


def _of_writing(told: Told) -> str | None:
    """Steps at which vectors are shown: is the row emptied, and is it another one each time?"""
    L = len(told.erase) // 2
    erase, move = told.erase[1 : L + 1], told.move[1 : L + 1]
    if erase.max() < 0.1:
        return "did not erase"
    if erase.max() < 0.9:
        return "erased only a part"
    return None if move.any() else "wrote everything into one row"


def _of_moves(move: Array) -> str | None:
    """Where the head goes from the mark, against where it went when it wrote."""
    L = len(move) // 2
    writing, answers = move[1 : L + 1], move[L + 1 :]
    if (writing != writing[0]).any():
        return None
    if answers[0] == 0 and (answers[1:] == writing[0]).all():
        return "stayed at the mark"
    if L > 1 and (answers == -writing[0]).all():
        return "read in the opposite order of writing"
    return "moved from the mark to the wrong side" if answers[0] == -writing[0] else None


def _of_focus(told: Told) -> str | None:
    L = len(told.gate) // 2
    writing, answers = (part.max() < 1.1 for part in (told.sharpness[1 : L + 1], told.sharpness[L + 1 :]))
    if writing or answers:
        both = "did not sharpen"
        return both if writing and answers else "sharpened only when " + ("reading" if writing else "writing")
    if 0.05 <= told.gate[L + 1] <= 0.95:
        return "opened the gate half"
    return "looked for the mark with a strength too low" if told.strength[L + 1] < 3 else None
