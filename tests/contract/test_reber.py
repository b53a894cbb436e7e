"""Reber strings, checked against regular expressions written down independently of the grammar's table."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from companion.data.reber import (
    SYMBOLS,
    ReberString,
    continual,
    embedded_reber_string,
    encode,
    is_embedded_reber,
    is_reber,
    reber_string,
)

# From the drawing of the grammar: the lower loop is T*V (PXT*V)*, left by PS or by V.
LOWER = "T*V(?:PXT*V)*(?:PS|V)"
INNER = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
REBER, EMBEDDED = re.compile(INNER), re.compile(f"B(?:T{INNER}T|P{INNER}P)E")

# Examples of the literature, and near misses
RIGHT = ("BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE", "BTXSE", "BPTTVPXTVVE")
NEAR = ("BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE", "", "B", "BE", "BTXS", "TXSE", "BTXSEE", "btxse")


def all_strings(length: int) -> set[str]:
    """Every Reber string of up to `length` symbols, spelled out from the regular expression by hand."""
    loops = new = {"T" * n + "V" for n in range(length)}
    while new:
        new = {text + "PX" + "T" * n + "V" for text in new for n in range(length) if len(text) + n + 3 <= length}
        loops = loops | new
    lower = {text + ending for text in loops for ending in ("PS", "V")}
    upper = {"T" + "S" * n + "X" + rest for n in range(length) for rest in {"S"} | {"X" + text for text in lower}}
    return {text for text in {f"B{path}E" for path in upper | {"P" + text for text in lower}} if len(text) <= length}


def words(n: int) -> Iterator[str]:
    """Every word of n symbols that starts with B, ends with E and has neither inside."""
    return (f"B{''.join(middle)}E" for middle in itertools.product("TPSXV", repeat=n - 2))


def successors(strings: set[str]) -> dict[str, set[str]]:
    """For everything that a string begins with, the symbols that come next in some string."""
    found: dict[str, set[str]] = {}
    for text in strings:
        for i in range(len(text)):
            found.setdefault(text[: i + 1], set()).update(text[i + 1 : i + 2])
    return found


# Every prefix of up to PREFIX symbols goes on in every legal way within strings of 16, the frame not counted.
PREFIX = 9
PLAIN_SUCCESSORS = successors(all_strings(16))
EMBEDDED_SUCCESSORS = successors({f"B{s}{text}{s}E" for s in "TP" for text in all_strings(16)})


@pytest.fixture(scope="module")
def many() -> list[ReberString]:
    generator = np.random.default_rng(3)
    return [embedded_reber_string(generator) for _ in range(3000)]


@pytest.mark.parametrize("text", RIGHT)
def test_known_strings_are_accepted_in_and_out_of_their_frame(text: str) -> None:
    assert is_reber(text)
    assert not is_embedded_reber(text)
    assert is_embedded_reber(f"BT{text}TE")
    assert is_embedded_reber(f"BP{text}PE")
    assert not is_embedded_reber(f"BT{text}PE")
    assert not is_embedded_reber(f"BP{text}TE")


@pytest.mark.parametrize("text", NEAR)
def test_near_misses_are_refused(text: str) -> None:
    assert not is_reber(text)
    assert not is_embedded_reber(f"BT{text}TE")


def test_recognisers_agree_with_regular_expressions_on_drawn_and_on_spoiled_strings(rng: np.random.Generator) -> None:
    """One symbol replaced makes most strings wrong and leaves some right; both kinds must be judged alike."""
    verdicts = Counter[bool]()
    for _ in range(2000):
        for draw, accepts, pattern in (
            (reber_string, is_reber, REBER),
            (embedded_reber_string, is_embedded_reber, EMBEDDED),
        ):
            text = draw(rng).text
            assert accepts(text)
            assert pattern.fullmatch(text)
            place, symbol = rng.integers(len(text)), SYMBOLS[rng.integers(7)]
            spoiled = text[:place] + symbol + text[place + 1 :]
            assert accepts(spoiled) == bool(pattern.fullmatch(spoiled))
            verdicts[accepts(spoiled)] += 1
    assert min(verdicts[True], verdicts[False]) > 100


@pytest.mark.parametrize("embedded", [False, True], ids=["plain", "embedded"])
def test_legal_successors_are_those_that_begin_a_longer_right_string(embedded: bool, rng: np.random.Generator) -> None:
    draw, expected = (embedded_reber_string, EMBEDDED_SUCCESSORS) if embedded else (reber_string, PLAIN_SUCCESSORS)
    n_choices = 0
    for _ in range(400):
        text, legal = draw(rng)
        assert len(legal) == len(text)
        assert legal[-1] == frozenset()
        for i in range(min(len(text), PREFIX)):
            assert legal[i] == expected[text[: i + 1]], text[: i + 1]
            n_choices += len(legal[i]) == 2
    assert n_choices > 800


def test_the_spelled_out_strings_are_those_of_the_regular_expression() -> None:
    strings = all_strings(9)
    every = {text for n in range(5, 10) for text in words(n)}
    assert strings == {text for text in every if REBER.fullmatch(text)}
    assert len(strings) == 27


def test_both_edges_are_taken_equally_often(many: list[ReberString]) -> None:
    """Each choice of two, whatever came before, is a fair coin; so is the outer symbol."""
    taken = Counter[tuple[frozenset[str], str]]()
    for text, legal in many:
        for allowed, symbol in zip(legal, text[1:]):
            taken[allowed, symbol] += len(allowed) == 2
    for allowed in {allowed for allowed, _ in taken if len(allowed) == 2}:
        a, b = (taken[allowed, symbol] for symbol in sorted(allowed))
        assert abs(a - b) < 4 * np.sqrt(a + b), allowed
    assert {"".join(sorted(allowed)) for allowed, _ in taken if len(allowed) == 2} == {"PT", "SX", "TV", "PV"}


def test_long_strings_are_distributed_as_if_short_ones_had_been_thrown_away(many: list[ReberString]) -> None:
    generator = np.random.default_rng(4)
    thrown = Counter(text for text, _ in many if len(text) >= 13)
    drawn = Counter(embedded_reber_string(generator, 13).text for _ in range(thrown.total()))
    assert all(len(text) >= 13 for text in drawn)
    common = [text for text, n in (thrown + drawn).items() if n >= 20]
    assert len(common) > 15
    chi_squared = sum((thrown[text] - drawn[text]) ** 2 / (thrown[text] + drawn[text]) for text in common)
    assert chi_squared < len(common) + 4 * np.sqrt(2 * len(common))
    lengths = [np.mean([len(text) for text in counter.elements()]) for counter in (thrown, drawn)]
    assert abs(lengths[0] - lengths[1]) < 0.3


@pytest.mark.parametrize("least", [9, 10, 40, 2000])
def test_strings_have_the_least_length_and_stay_in_the_grammar(least: int, rng: np.random.Generator) -> None:
    lengths = [len(embedded_reber_string(rng, least).text) for _ in range(40)]
    assert least <= min(lengths) <= least + 2
    text = embedded_reber_string(rng, least).text
    assert is_embedded_reber(text)
    assert EMBEDDED.fullmatch(text)


def test_a_batch_holds_each_string_its_successors_and_its_decisive_step(many: list[ReberString]) -> None:
    strings = many[:20]
    xs, targets, mask, legal, decisive = encode(strings, np.float32)
    steps = max(len(text) for text, _ in strings) - 1
    assert xs.shape == legal.shape == (steps, 20, 7)
    assert targets.shape == mask.shape == (steps, 20)
    assert (xs.dtype, targets.dtype, mask.dtype, legal.dtype) == (np.float32, np.int64, np.bool_, np.bool_)
    for b, (text, allowed) in enumerate(strings):
        n = len(text) - 1
        np.testing.assert_array_equal(mask[:, b], np.arange(steps) < n)
        assert "".join(SYMBOLS[k] for k in xs[:n, b].argmax(axis=-1)) == text[:-1]
        assert "".join(SYMBOLS[k] for k in targets[:n, b]) == text[1:]
        np.testing.assert_array_equal(xs[:, b].sum(axis=-1), mask[:, b])
        assert (targets[n:, b] == -1).all()
        assert not legal[n:, b].any()
        assert [{SYMBOLS[k] for k in np.flatnonzero(row)} for row in legal[:n, b]] == [set(s) for s in allowed[:-1]]
        at = decisive[b]
        assert SYMBOLS[targets[at, b]] == text[1]
        assert SYMBOLS[targets[at + 1, b]] == "E"
        assert at + 2 == n, "two more symbols: the decisive one and E"


def test_streams_are_whole_strings_one_after_another() -> None:
    """Cut where `start` says, every piece but the last is a string, and what is marked is what a string has there."""
    batch, steps = 5, 600
    ids, decisive, start, legal = continual(np.random.default_rng(6), batch, steps)
    assert (ids.shape, decisive.shape, start.shape) == ((steps + 1, batch), (steps, batch), (steps, batch))
    assert legal.shape == (steps, batch, 7)
    n_strings = 0
    for b in range(batch):
        text = "".join(SYMBOLS[k] for k in ids[:, b])
        starts = [*np.flatnonzero(start[:, b]).tolist()]
        assert starts[0] == 0
        expected = set()
        for a, z in itertools.pairwise(starts):
            assert EMBEDDED.fullmatch(text[a:z])
            expected.add(z - 3)  # its target, at z - 2, is the last symbol but one
            assert text[z - 2] == text[a + 1]
        n_strings += len(starts) - 1
        marked = set(np.flatnonzero(decisive[:, b]).tolist())
        assert marked - expected <= set(range(starts[-1], steps))
        assert expected <= marked
        for t in range(steps):
            assert legal[t, b, ids[t + 1, b]], "what comes is legal"
            assert legal[t, b].sum() == 1 or not decisive[t, b], "only one symbol is right where it is decisive"
    assert n_strings > 200


def test_legal_successors_in_a_stream_are_those_of_its_strings() -> None:
    ids, _, start, legal = continual(np.random.default_rng(8), 3, 2000)
    compared = 0
    for b in range(3):
        text, begin = "".join(SYMBOLS[k] for k in ids[:, b]), 0
        for t in range(2000):
            begin = t if start[t, b] else begin
            prefix = text[begin : t + 1]
            allowed = {SYMBOLS[k] for k in np.flatnonzero(legal[t, b])}
            if EMBEDDED.fullmatch(prefix):
                assert allowed == {"B"}
            elif len(prefix) <= PREFIX:
                assert allowed == EMBEDDED_SUCCESSORS[prefix]
                compared += 1
    assert compared > 3000


def test_strings_in_streams_are_as_long_as_strings_alone(many: list[ReberString]) -> None:
    start = continual(np.random.default_rng(7), 4, 20_000).start
    lengths = np.concatenate([np.diff(np.flatnonzero(column)) for column in start.T])
    assert abs(lengths.mean() - np.mean([len(text) for text, _ in many])) < 0.3


def test_one_seed_gives_one_string_and_one_stream() -> None:
    def draw(seed: int) -> tuple[Any, ...]:
        generator = np.random.default_rng(seed)
        strings = [embedded_reber_string(generator) for _ in range(5)]
        return strings, *(array.tolist() for array in continual(generator, 2, 30))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


WHOLE = "expected a whole number of at least"
WRONG: dict[str, tuple[Callable[[np.random.Generator], Any], str]] = {
    "min_length": (lambda r: embedded_reber_string(r, -1), f"embedded_reber_string: min_length is -1, {WHOLE} 0"),
    "plain": (lambda r: reber_string(r, 2.5), f"reber_string: min_length is 2.5, {WHOLE} 0"),
    "a seed": (lambda r: reber_string(0), "reber_string: rng is 0, expected Generator, such as"),
    "no batch": (lambda r: continual(r, 0, 9), f"continual: batch is 0, {WHOLE} 1"),
    "no steps": (lambda r: continual(r, 3, 0), f"continual: steps is 0, {WHOLE} 1"),
    "a seed for streams": (lambda r: continual(0, 3, 9), "continual: rng is 0, expected Generator, such as"),
    "no strings": (lambda r: encode([]), "encode: strings has length 0, expected at least one string"),
    "text": (lambda r: encode(["BTXSE"]), "encode: strings[0] is 'BTXSE', expected ReberString, such as"),
    "symbols": (lambda r: encode([ReberString("BAE", ())]), "encode: strings[0] is 'BAE', expected 3 or more symbols"),
    "short": (lambda r: encode([ReberString("BE", ())]), "encode: strings[0] is 'BE', expected 3 or more symbols of"),
    "int": (lambda r: encode([reber_string(r)], int), "encode: dtype is int64, expected a floating-point type"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call(rng)
