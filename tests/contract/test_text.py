"""Text of characters: nothing of the test part in training, coding that comes back, streams that read every character."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

from companion.data import text as module
from companion.data.text import HELD_OUT, MIN_USES, RARE, Text, decode, encode, load_text, streams

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data() -> Text:
    return load_text()


def plain(data: Text, name: str) -> str:
    return decode(getattr(data, name), data.vocabulary)


def paragraphs(text: str) -> list[str]:
    """Paragraphs with every run of blanks and line ends as one blank."""
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]


def shown(text: str, vocabulary: str) -> str:
    return "".join(character if character in vocabulary else RARE for character in text)


def test_sizes_and_dtypes_are_as_documented(data: Text) -> None:
    total = sum(len(getattr(data, name)) for name in PARTS)
    assert total > 200_000
    for name in PARTS:
        ids = getattr(data, name)
        assert ids.ndim == 1
        assert ids.dtype == np.int64
        assert ids.min() >= 0
        assert ids.max() < len(data.vocabulary)
    for name in ("validation", "test"):
        assert HELD_OUT * total <= len(getattr(data, name)) < 0.15 * total


def test_every_paragraph_of_python_is_in_exactly_one_part_once(data: Text) -> None:
    found = Counter(paragraph for name in PARTS for paragraph in paragraphs(plain(data, name)))
    expected = {shown(p, data.vocabulary) for text in topics.values() for p in paragraphs(text)}
    assert set(found) == expected
    # Two that differ in rare characters only would look the same here; there are hardly any.
    assert sum(n - 1 for n in found.values()) <= 2
    repeated = Counter(p for text in topics.values() for p in paragraphs(text))
    assert sum(n - 1 for n in repeated.values()) > 50, "the topics do repeat each other"


def test_no_topic_is_in_two_parts(data: Text) -> None:
    parts = {name: set(paragraphs(plain(data, name))) for name in PARTS}
    seen: set[str] = set()
    n_topics = Counter[str]()
    for _, text in sorted(topics.items()):
        new = {shown(p, data.vocabulary) for p in paragraphs(text)} - seen
        seen |= new
        homes = [name for name in PARTS if new & parts[name]]
        assert len(homes) <= 1
        n_topics.update(homes)
    assert min(n_topics[name] for name in PARTS) >= 3


def test_little_of_the_test_part_can_be_copied_from_training(data: Text) -> None:
    """Runs of 50 characters: of a text cut without regard to repetition a tenth and more are in both."""
    train = plain(data, "train")
    known = {train[i : i + 50] for i in range(len(train) - 49)}
    for name in ("validation", "test"):
        held_out = plain(data, name)
        assert np.mean([held_out[i : i + 50] in known for i in range(len(held_out) - 49)]) < 0.02
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    known = {whole[i : i + 50] for i in range(int(0.9 * len(whole)))}
    last = whole[int(0.9 * len(whole)) + 50 :]
    assert np.mean([last[i : i + 50] in known for i in range(len(last) - 49)]) > 0.05


def test_it_is_english_prose(data: Text) -> None:
    for name in PARTS:
        text = plain(data, name)
        words = re.findall(r"[a-z]+", text)
        assert Counter(words).most_common(1)[0][0] == "the"
        assert 0.12 < text.count(" ") / len(text) < 0.3


def test_the_vocabulary_is_what_training_uses_often(data: Text) -> None:
    uses = Counter(plain(data, "train"))
    assert data.vocabulary[0] == RARE
    assert list(data.vocabulary[1:]) == sorted(set(data.vocabulary[1:]))
    assert min(uses[character] for character in data.vocabulary[1:]) >= MIN_USES
    assert set("etaoin \n\"'") < set(data.vocabulary)
    for name in PARTS:
        assert np.mean(getattr(data, name) == 0) < 0.002


def test_a_topic_goes_to_one_part_and_large_ones_to_training() -> None:
    many = {f"topic {k}": f"of {k}\n\nshared\n\n  {'word ' * (5 + k % 7)}{k}" for k in range(60)}
    large = {f"large {k}": f"{k} xyz " * 100 for k in range(8)}
    parts = module._split(module._distinct(many | large))
    assert sorted(name for part in parts for name in part) == sorted(many | large)
    assert set(large) < set(parts[0])
    assert all(parts)
    kept = [paragraph for part in parts for lines in part.values() for paragraph in lines]
    assert kept.count("shared") == 1
    assert len(kept) == 60 * 2 + 1 + 8


def test_what_is_encoded_decodes_to_itself_but_for_characters_not_in_the_vocabulary(data: Text) -> None:
    ids = encode("for x in y:\n", data.vocabulary)
    assert ids.dtype == np.int64
    assert decode(ids, data.vocabulary) == "for x in y:\n"
    assert decode(encode("a☃b", data.vocabulary), data.vocabulary) == f"a{RARE}b"
    np.testing.assert_array_equal(encode("ba☃", RARE + "abc"), [2, 1, 0])
    assert encode("", data.vocabulary).shape == (0,)


def test_loading_again_gives_the_same_in_this_process_and_from_scratch(data: Text) -> None:
    assert load_text() is data
    again = load_text.__wrapped__()
    assert again.vocabulary == data.vocabulary
    for name in PARTS:
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(data, name)[0] = 0


@pytest.mark.parametrize(
    ("n", "batch", "steps"), [(101, 4, 5), (104, 4, 5), (105, 4, 5), (8, 1, 7), (50, 7, 7), (9, 4, 1)]
)
def test_streams_read_their_part_of_the_text_in_order(n: int, batch: int, steps: int) -> None:
    ids = np.arange(1000, 1000 + n)
    segments = streams(ids, batch, steps)
    length = (n - 1) // batch
    assert segments.shape == (length // steps, steps + 1, batch)
    for b in range(batch):
        inputs, targets = segments[:, :-1, b].ravel(), segments[:, 1:, b].ravel()
        start = 1000 + b * length
        np.testing.assert_array_equal(inputs, np.arange(start, start + len(inputs)))
        np.testing.assert_array_equal(targets, inputs + 1)
        assert length - steps < len(inputs) <= length, "less than one segment is left out"


def test_streams_are_a_copy_and_of_the_same_dtype() -> None:
    ids = np.arange(20, dtype=np.int32)
    segments = streams(ids, 2, 3)
    assert segments.dtype == np.int32
    segments[:] = -1
    np.testing.assert_array_equal(ids, np.arange(20))


def test_a_python_without_the_text_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match=r"^load_text: this Python lacks pydoc_data, expected the whole"):
        load_text.__wrapped__()


WHOLE = "expected a whole number of at least 1"
IDS = "expected a NumPy array (N,) of integers"
WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no batch": (lambda ids: streams(ids, 0, 5), f"streams: batch is 0, {WHOLE}"),
    "no steps": (lambda ids: streams(ids, 4, 0), f"streams: steps is 0, {WHOLE}"),
    "half a step": (lambda ids: streams(ids, 4, 2.5), f"streams: steps is 2.5, {WHOLE}"),
    "too short": (lambda ids: streams(ids, 4, 6), "streams: ids has shape (24,), expected at least 25 for batch 4 and"),
    "empty": (lambda ids: streams(ids[:0], 4, 6), "streams: ids has shape (0,), expected at least 25"),
    "a table": (lambda ids: streams(ids.reshape(4, 6), 2, 2), f"streams: ids is shape (4, 6), dtype int64, {IDS}"),
    "floats": (lambda ids: streams(ids / 2, 2, 2), f"streams: ids is shape (24,), dtype float64, {IDS}"),
    "text": (lambda ids: streams("abc", 2, 2), f"streams: ids is str, {IDS}"),
    "no rare": (
        lambda ids: encode("a", "abc"),
        f"encode: vocabulary is 'abc', expected {RARE!r} as its first character",
    ),
    "out of range": (lambda ids: decode(ids, "abc"), "decode: ids[3] is 3, expected integers in 0..2"),
    "nothing": (lambda ids: decode(ids[:0], "abc"), "decode: ids has shape (0,), expected at least one integer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call(np.arange(24))
