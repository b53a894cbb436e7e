"""Characters of real prose, for language models: the language reference that every Python carries (chapter *LSTM*).

The text is what `help("if")` and its like print, from the standard library's `pydoc_data.topics`: prose with some tables and
code, 79 topics with 465,000 characters in Python 3.11. It is read where it is installed and never copied. It changes from
one version of Python to the next, so compare numbers only within one.
"""

import functools
import re
import zlib
from collections import Counter
from typing import NamedTuple

import numpy as np

from companion.tree import Indices
from companion.validate import require_indices, require_whole

RARE = "\N{REPLACEMENT CHARACTER}"  # stands for every character that training has fewer than MIN_USES times
MIN_USES = 10
HELD_OUT = 0.08  # of all characters, at least: validation as well as test
MAX_TOPIC = 0.05  # a topic that is more of the text than this is for training


class Text(NamedTuple):
    """The three parts as integers: fit on train, choose on validation, look at test once."""

    train: Indices  # (N,) int64 indices into vocabulary
    validation: Indices
    test: Indices
    vocabulary: str  # the characters, RARE first and the others sorted


@functools.cache
def load_text() -> Text:
    """Load the text; no topic and no paragraph is in two parts. The arrays are read-only: every caller gets the same.

    Topics repeat each other, a fifth of all text, so a paragraph is kept only in the first topic that has it: else a model
    would be tested on what it was trained on.

    Raises ImportError where Python comes without `pydoc_data`, as some small distributions do.
    """
    train, validation, test = (_join(part) for part in _split(_distinct(_topics())))
    uses = Counter(train)
    vocabulary = RARE + "".join(sorted(c for c, n in uses.items() if n >= MIN_USES and c != RARE))
    text = Text(encode(train, vocabulary), encode(validation, vocabulary), encode(test, vocabulary), vocabulary)
    for part in (text.train, text.validation, text.test):
        part.flags.writeable = False
    return text


def encode(text: str, vocabulary: str) -> Indices:
    """(N,) the place of each character in the vocabulary; 0, the place of RARE, for one that is not in it.

    Raises ValueError unless the vocabulary starts with RARE.
    """
    if not vocabulary.startswith(RARE):
        raise ValueError(f"encode: vocabulary is {vocabulary!r:.60}, expected {RARE!r} as its first character")
    number = {character: k for k, character in enumerate(vocabulary)}
    return np.array([number.get(character, 0) for character in text], np.int64)


def decode(ids: Indices, vocabulary: str) -> str:
    """The text of these characters (N,). Raises ValueError unless they are integers in 0 ... V-1, at least one."""
    require_indices("decode", "ids", ids, len(vocabulary))
    return "".join(vocabulary[k] for k in ids.ravel())


def streams(ids: Indices, batch: int, steps: int) -> Indices:
    """Cut a text (N,) into segments (n, steps + 1, B) for truncated backpropagation: each of B streams reads on in the next.

    Stream b is one of B equal parts of the text. Of a segment, inputs are `segment[:-1]` and targets `segment[1:]`; the
    last target is the first input of the next segment, so a state carried from one to the next has read every character
    once. What does not fill a segment is left out at the end of each stream.

    Raises ValueError unless batch >= 1, steps >= 1, and ids are integers (N,), enough for one segment.
    """
    require_whole("streams", "batch", batch, 1)
    require_whole("streams", "steps", steps, 1)
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        received = f"shape {ids.shape}, dtype {ids.dtype}" if isinstance(ids, np.ndarray) else type(ids).__name__
        raise ValueError(f"streams: ids is {received}, expected a NumPy array (N,) of integers")
    length = (len(ids) - 1) // batch
    if length < steps:
        raise ValueError(
            f"streams: ids has shape {ids.shape}, expected at least {batch * steps + 1} for batch {batch} and steps {steps}"
        )
    first = np.arange(length // steps)[:, None, None] * steps + np.arange(batch) * length
    segments: Indices = ids[first + np.arange(steps + 1)[:, None]]
    return segments


def _topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError("load_text: this Python lacks pydoc_data, expected the whole standard library") from error
    return {name: topics[name] for name in sorted(topics)}


def _distinct(topics: dict[str, str]) -> dict[str, list[str]]:
    """The paragraphs of each topic without those that were met before, in whatever indentation and width."""
    seen: set[str] = set()
    kept: dict[str, list[str]] = {}
    for name, text in topics.items():
        kept[name] = []
        for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
            words = " ".join(paragraph.split())
            if words not in seen:
                kept[name].append(paragraph)
            seen.add(words)
    return kept


def _split(topics: dict[str, list[str]]) -> tuple[dict[str, list[str]], ...]:
    """Train, validation and test: topics in an order that their names decide fill test, then validation, then train."""
    sizes = {name: len(_join({name: paragraphs})) for name, paragraphs in topics.items()}
    total = sum(sizes.values())
    parts: tuple[dict[str, list[str]], ...] = ({}, {}, {})
    held_out = [0, 0, 0]
    for name in sorted(topics, key=lambda name: zlib.crc32(name.encode())):
        open_parts = [k for k in (2, 1) if held_out[k] < HELD_OUT * total]
        part = open_parts[0] if open_parts and sizes[name] <= MAX_TOPIC * total else 0
        parts[part][name] = topics[name]
        held_out[part] += sizes[name]
    return parts


def _join(topics: dict[str, list[str]]) -> str:
    return "".join(f"{paragraph}\n\n" for paragraphs in topics.values() for paragraph in paragraphs)
