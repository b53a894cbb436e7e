"""What all algorithmic tasks share: episodes as text that reads back, wrong bits counted by a loop, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.data.algorithmic import (
    LONGEST_CONTEXT,
    TEXT_STEPS,
    Episodes,
    as_text,
    associative_recall,
    copy,
    dynamic_ngrams,
    optimal_ngrams,
    priority_sort,
    repeat_copy,
    wrong_bits,
)

DRAWS: dict[str, Callable[[np.random.Generator], Episodes]] = {
    "copy": lambda rng: copy(rng, 3, 120),
    "repeat_copy": lambda rng: repeat_copy(rng, 3, 10, 20),
    "associative_recall": lambda rng: associative_recall(rng, 3, 20),
    "dynamic_ngrams": lambda rng: dynamic_ngrams(rng, 3),
    "priority_sort": lambda rng: priority_sort(rng, 3),
    "many channels": lambda rng: copy(rng, 3, 5, 101),
}


def handmade() -> Episodes:
    """Two sequences; the second has a number to be rounded in every way."""
    xs = np.zeros((4, 2, 2))
    xs[0, 0, 0] = xs[1, :, 0] = xs[2, 0, 1] = 1
    xs[:, 1, 1] = [-0.5222, 0.04, -0.04, 0.96]
    targets, mask = np.zeros((4, 2, 1)), np.zeros((4, 2), bool)
    mask[2:], targets[3, :, 0] = True, 1
    return Episodes(xs, targets, mask)


def test_text_shows_bits_numbers_and_only_answers_that_are_asked_for() -> None:
    first = ["step       0", "input    0 ##..", "         1 ..#.", "answer   0   .#"]
    assert as_text(handmade()).split("\n") == first
    second = [
        "step       0",
        "input    0 .#..",
        "         1 -",
        "           0001",
        "           ....",
        "           5000",
        "answer   0   .#",
    ]
    assert as_text(handmade(), np.int64(1)).split("\n") == second


def test_answers_have_no_rows_in_a_block_where_none_is_asked_for(rng: np.random.Generator) -> None:
    blocks = as_text(copy(rng, 1, 80, 2)).split("\n\n")
    assert [block.count("\n") + 1 for block in blocks] == [1 + 3, 1 + 3 + 2, 1 + 3 + 2]
    assert ["answer" in block for block in blocks] == [False, True, True]


def read_text(text: str, steps: int) -> tuple[list[str], list[str]]:
    """Input and answer of a text: for each channel its lines (one after another where there are several) over all steps."""
    rows: dict[tuple[str, str, int], str] = {}
    for number, block in enumerate(text.split("\n\n")):
        start, name, channel, line = number * TEXT_STEPS, "", "", 0
        ruler, *lines = block.split("\n")
        marks = {match.start() - 11 + start: int(match[0]) for match in re.finditer(r"\d+", ruler)}
        assert marks == {t: t for t in range(start, min(start + TEXT_STEPS, steps), 10)}
        for row in lines:
            name, line = row[:6].strip() or name, line + 1
            if row[6:10].strip():
                channel, line = row[6:10].strip(), 0
            key = (name, channel, line)
            rows[key] = rows.get(key, "").ljust(start) + row[11:]
    return tuple([row.ljust(steps) for key, row in rows.items() if key[0] == name] for name in ("input", "answer"))


@pytest.mark.parametrize("b", [0, 2])
@pytest.mark.parametrize("name", DRAWS)
def test_text_reads_back_as_the_episode_and_fits_a_cell(name: str, b: int, rng: np.random.Generator) -> None:
    episodes = DRAWS[name](rng)
    text = as_text(episodes, b)
    assert max(map(len, text.split("\n"))) <= 84
    assert not any(line != line.rstrip() for line in text.split("\n"))
    shown, answered = read_text(text, len(episodes.xs))
    numbers = {"repeat_copy": 9, "priority_sort": 8}.get(name)
    expected = [
        "".join("#" if x == 1 else "." for x in episodes.xs[:, b, k])
        for k in range(episodes.xs.shape[2])
        if k != numbers
    ]
    assert [row for row in shown if "#" in row or row.count(".") == len(row)] == expected
    asked = episodes.mask[:, b]
    assert answered == [
        "".join((" " if not ask else "#" if y else ".") for y, ask in zip(channel, asked, strict=True))
        for channel in episodes.targets[:, b].T
    ]


def test_priorities_read_downwards(rng: np.random.Generator) -> None:
    episodes = priority_sort(rng, 2)
    lines = as_text(episodes, 1).split("\n")
    first = next(k for k, line in enumerate(lines) if line[6:10] == "   8")
    columns = zip(*(line[11:].ljust(37)[:20] for line in lines[first : first + 4]), strict=True)
    read = [float("".join(column)) for column in columns]
    np.testing.assert_allclose(read, episodes.xs[:20, 1, 8], atol=0.05001)


# ---- wrong bits


def test_wrong_bits_are_counted_where_an_answer_is_asked_and_averaged_over_sequences(rng: np.random.Generator) -> None:
    episodes = repeat_copy(rng, 7, 3, 2, 4)
    episodes = episodes._replace(mask=rng.random(episodes.mask.shape) < 0.6)
    logits = rng.normal(size=episodes.targets.shape)
    wrong = 0
    for t, b in zip(*np.nonzero(episodes.mask), strict=True):
        wrong += sum((x > 0) != (y == 1) for x, y in zip(logits[t, b], episodes.targets[t, b], strict=True))
    received = wrong_bits(logits, episodes)
    assert isinstance(received, float)
    assert received == wrong / 7
    assert wrong_bits(1e-3 * logits.astype(np.float32), episodes) == received


def test_a_perfect_answer_has_no_wrong_bits_its_opposite_has_all_and_silence_the_ones(rng: np.random.Generator) -> None:
    episodes = copy(rng, 5, 6)
    perfect = np.where(episodes.mask[:, :, None], episodes.targets - 0.5, rng.normal(size=episodes.targets.shape))
    assert wrong_bits(perfect, episodes) == 0
    assert wrong_bits(-perfect, episodes) == 6 * 8
    assert wrong_bits(np.zeros_like(perfect), episodes) == episodes.targets.sum() / 5


# ---- what is refused

EPISODES = handmade()
LOGITS = np.ones_like(EPISODES.targets)
BITS = np.zeros((6, 2, 1))
LEAST, MOST = "expected a whole number of at least {}", "expected at most {}"
SHAPE = r"has shape \({}\), expected \({}\) from episodes.xs"
LONG = f"expected a number in [1, {LONGEST_CONTEXT}]"
WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no batch": (lambda r: copy(r, 0, 5), "copy: batch is 0, " + LEAST.format(1)),
    "no length": (lambda r: copy(r, 3, 0), "copy: length is 0, " + LEAST.format(1)),
    "bool bits": (lambda r: copy(r, 3, 5, True), "copy: bits is True, " + LEAST.format(1)),
    "int dtype": (lambda r: copy(r, 3, 5, dtype=int), "copy: dtype is int64, expected a floating-point type"),
    "a seed": (lambda r: copy(0, 3, 5), "copy: rng is 0, expected Generator"),
    "no repeats": (lambda r: repeat_copy(r, 3, 5, 0), "repeat_copy: repeats is 0, " + LEAST.format(1)),
    "many repeats": (lambda r: repeat_copy(r, 2, 5, np.ones(2)), r"repeat_copy: repeats is array\("),
    "one item": (lambda r: associative_recall(r, 3, 1), "associative_recall: items is 1, " + LEAST.format(2)),
    "float items": (lambda r: associative_recall(r, 3, 2.0), "associative_recall: items is 2.0, "),
    "empty items": (lambda r: associative_recall(r, 3, 2, 0), "associative_recall: item_length is 0, "),
    "items that cannot differ": (
        lambda r: associative_recall(r, 3, 5, 1, 2),
        "associative_recall: items is 5, expected at most 4, as many as differ with item_length 1 and bits 2",
    ),
    "coins only": (lambda r: dynamic_ngrams(r, 3, 5, 5), "dynamic_ngrams: length is 5, " + LEAST.format(6)),
    "no context": (lambda r: dynamic_ngrams(r, 3, 5, 0), "dynamic_ngrams: context is 0, " + LEAST.format(1)),
    "large table": (lambda r: dynamic_ngrams(r, 3, 99, 50), re.escape("dynamic_ngrams: context is 50, " + LONG)),
    "more answers": (lambda r: priority_sort(r, 3, 9, 10), "priority_sort: answers is 10, expected at most 9"),
    "no answers": (lambda r: priority_sort(r, 3, 9, 0), "priority_sort: answers is 0, " + LEAST.format(1)),
    "integers": (lambda r: optimal_ngrams(BITS.astype(int)), "optimal_ngrams: xs has dtype int64, expected"),
    "two channels": (lambda r: optimal_ngrams(np.zeros((6, 2, 2))), r"optimal_ngrams: xs has shape \(6, 2, 2\)"),
    "no bit": (lambda r: optimal_ngrams(BITS + 0.5), r"optimal_ngrams: xs\[0, 0, 0\] is 0.5, expected 0 or 1"),
    "nan": (lambda r: optimal_ngrams(BITS * np.nan), r"optimal_ngrams: xs\[0, 0, 0\] is nan, expected 0 or 1"),
    "context 0": (lambda r: optimal_ngrams(BITS, 0), "optimal_ngrams: context is 0, " + LEAST.format(1)),
    "context 50": (lambda r: optimal_ngrams(BITS, 50), re.escape("optimal_ngrams: context is 50, " + LONG)),
    "other sequence": (lambda r: as_text(EPISODES, 2), "as_text: b is 2, expected at most 1 from episodes.mask"),
    "negative b": (lambda r: as_text(EPISODES, -1), "as_text: b is -1, " + LEAST.format(0)),
    "no episodes": (lambda r: as_text(EPISODES.xs), "as_text: episodes is array"),
    "a tuple": (lambda r: as_text(tuple(EPISODES)), r"as_text: episodes is \(array.*, expected Episodes"),
    "few targets": (
        lambda r: as_text(EPISODES._replace(targets=LOGITS[1:])),
        "as_text: episodes.targets " + SHAPE.format("3, 2, 1", "4, 2, C"),
    ),
    "long mask": (
        lambda r: as_text(EPISODES._replace(mask=np.ones((5, 2), bool))),
        "as_text: episodes.mask " + SHAPE.format("5, 2", "4, 2"),
    ),
    "mask of numbers": (
        lambda r: wrong_bits(LOGITS, EPISODES._replace(mask=np.ones((4, 2), int))),
        "wrong_bits: episodes.mask has dtype int64, expected bool",
    ),
    "logits of one": (lambda r: wrong_bits(LOGITS[:, :1], EPISODES), r"wrong_bits: logits has shape \(4, 1, 1\)"),
    "logits nan": (lambda r: wrong_bits(LOGITS * np.nan, EPISODES), "wrong_bits: logits has 8 values that are not"),
    "bools": (lambda r: wrong_bits(LOGITS > 0, EPISODES), "wrong_bits: logits has dtype bool"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=f"(?s)^{message}"):
        call(rng)
