"""Reber grammars: strings whose next symbol is known up to a choice of two (chapter *LSTM*).

The Reber grammar (Reber 1967, with B and E as its ends) is walked from node 0. Of two edges, each is as likely:

    node     0     1     2     3     4     5     6     7
    edges   B 1   T 2   S 2   T 3   X 3   P 4   E 7   end
                  P 3   X 4   V 5   S 6   V 6

The embedded grammar (Cleeremans, Servan-Schreiber and McClelland 1989; experiment 1 of Hochreiter and Schmidhuber 1997)
puts such a string between two equal symbols: B T (Reber string) T E or B P (Reber string) P E. The symbol before the last,
here called decisive, can be predicted only by remembering the second over the whole string between. In the continual version
(Gers, Schmidhuber and Cummins 2000) embedded strings follow each other in one stream and nothing marks where one begins.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from companion.tree import Array, Indices
from companion.validate import require_instance, require_whole

SYMBOLS = "BTPSXVE"

# For every node, its edges: the symbol, and the node it leads to. The last node is the end.
Grammar: TypeAlias = tuple[dict[str, int], ...]
REBER: Grammar = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
    {},
)


def _inner(first: int, after: str, goal: int) -> Grammar:
    """The Reber grammar with nodes numbered from `first`, whose end has one more edge."""
    nodes = tuple({symbol: first + node for symbol, node in edges.items()} for edges in REBER[:-1])
    return (*nodes, {after: goal})


# Two copies of the inner grammar, because a node is all the memory that there is: nodes 2 to 9 after T, 10 to 17 after P.
EMBEDDED: Grammar = ({"B": 1}, {"T": 2, "P": 10}, *_inner(2, "T", 18), *_inner(10, "P", 18), {"E": 19}, {})
DECISIVE_NODES = (9, 17)


class ReberString(NamedTuple):
    """A string, and what could have come instead."""

    text: str
    legal: tuple[frozenset[str], ...]  # legal[i]: the symbols that may follow text[i]; empty after the last


class ReberBatch(NamedTuple):
    """Strings as inputs and targets for prediction of the next symbol; T is the longest string's length less 1."""

    xs: Array  # (T, B, 7) one-hot symbols in the order of SYMBOLS, all but each string's last; 0 in the padding
    targets: Indices  # (T, B) the next symbol; -1 in the padding
    mask: NDArray[np.bool_]  # (T, B) True where the string lasts
    legal: NDArray[np.bool_]  # (T, B, 7) which symbols may come next; all False in the padding
    decisive: Indices  # (B,) the step whose target is the last symbol but one


class ReberStreams(NamedTuple):
    """Streams of embedded Reber strings, one after another without a pause: inputs ids[:-1], targets ids[1:]."""

    ids: Indices  # (T + 1, B) int64, indices into SYMBOLS
    decisive: NDArray[np.bool_]  # (T, B) True where the target, ids[t + 1], is the last symbol but one of its string
    start: NDArray[np.bool_]  # (T, B) True where ids[t] is the first symbol of a string
    legal: NDArray[np.bool_]  # (T, B, 7) which symbols may follow ids[t]; after the last of a string only B


def reber_string(rng: np.random.Generator, min_length: int = 0) -> ReberString:
    """Draw a Reber string of at least min_length symbols; every string has 5 or more.

    Raises ValueError for a negative min_length.
    """
    return _draw("reber_string", REBER, rng, min_length)


def embedded_reber_string(rng: np.random.Generator, min_length: int = 0) -> ReberString:
    """Draw an embedded Reber string of at least min_length symbols; every string has 9 or more.

    In a string of n symbols the decisive one stands n - 3 symbols after the one that it repeats. Strings are distributed as
    if shorter ones were thrown away, but none is: min_length may be large.

    Raises ValueError for a negative min_length.
    """
    return _draw("embedded_reber_string", EMBEDDED, rng, min_length)


def is_reber(text: str) -> bool:
    """Whether the text is a whole Reber string."""
    return _accepts(REBER, text)


def is_embedded_reber(text: str) -> bool:
    """Whether the text is a whole embedded Reber string."""
    return _accepts(EMBEDDED, text)


def encode(strings: Sequence[ReberString], dtype: Any = np.float64) -> ReberBatch:
    """Put strings side by side, as one-hot vectors with padding after the shorter ones.

    Raises ValueError when there are no strings, one has symbols other than SYMBOLS or fewer than 3 of them, or dtype is not
    floating-point.
    """
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"encode: dtype is {np.dtype(dtype)}, expected a floating-point type")
    if len(strings) == 0:
        raise ValueError("encode: strings has length 0, expected at least one string")
    for b, string in enumerate(strings):
        require_instance("encode", f"strings[{b}]", string, ReberString, "such as embedded_reber_string(rng)")
        if len(string.text) < 3 or not set(string.text) <= set(SYMBOLS):
            raise ValueError(f"encode: strings[{b}] is {string.text!r:.60}, expected 3 or more symbols of {SYMBOLS}")
    lengths = np.array([len(string.text) for string in strings])
    mask = np.arange(lengths.max() - 1)[:, None] < lengths - 1
    xs, targets = np.zeros((*mask.shape, len(SYMBOLS)), dtype), np.full(mask.shape, -1)
    legal = np.zeros(xs.shape, np.bool_)
    for b, (text, successors) in enumerate(strings):
        ids = np.array([SYMBOLS.index(symbol) for symbol in text])
        steps = np.arange(len(text) - 1)
        xs[steps, b, ids[:-1]] = 1
        targets[steps, b] = ids[1:]
        legal[steps, b] = [[symbol in allowed for symbol in SYMBOLS] for allowed in successors[:-1]]
    return ReberBatch(xs, targets, mask, legal, lengths - 3)


def continual(rng: np.random.Generator, batch: int, steps: int) -> ReberStreams:
    """Draw streams of embedded Reber strings; each begins with a string's first symbol and stops wherever `steps` are over.

    Raises ValueError unless batch >= 1 and steps >= 1.
    """
    require_instance("continual", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_whole("continual", "batch", batch, 1)
    require_whole("continual", "steps", steps, 1)
    symbols, successors, allowed = _tables()
    edges = rng.integers(0, 2, (steps + 1, batch))
    nodes = np.zeros((steps + 2, batch), np.int64)
    for t in range(steps + 1):
        nodes[t + 1] = successors[nodes[t], edges[t]]
    ids = symbols[nodes[:-1], edges]
    return ReberStreams(ids, np.isin(nodes[1:-1], DECISIVE_NODES), nodes[:-2] == 0, allowed[nodes[1:-1]])


@functools.cache
def _tables() -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """The embedded grammar without an end: symbols and next nodes (N, 2), the same edge twice where there is one; legal."""
    symbols, successors = np.zeros((2, len(EMBEDDED) - 1, 2), np.int64)
    for node, edges in enumerate(EMBEDDED[:-1]):
        symbols[node] = [SYMBOLS.index(symbol) for symbol in edges]
        successors[node] = list(edges.values())
    successors[successors == len(EMBEDDED) - 1] = 0
    legal = np.array([[symbol in edges for symbol in SYMBOLS] for edges in EMBEDDED[:-1]])
    return symbols, successors, legal


def _draw(function: str, grammar: Grammar, rng: np.random.Generator, min_length: int) -> ReberString:
    require_instance(function, "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_whole(function, "min_length", min_length, 0)
    survival = _survival(grammar is EMBEDDED, min_length)
    node, text, legal = 0, "", []
    while grammar[node]:
        edges = list(grammar[node].items())
        weights = survival[max(min_length - len(text) - 1, 0)][[goal for _, goal in edges]]
        symbol, node = edges[int(rng.random() * weights.sum() >= weights[0])]
        text += symbol
        legal.append(frozenset(grammar[node]))
    return ReberString(text, tuple(legal))


@functools.lru_cache(maxsize=32)
def _survival(embedded: bool, steps: int) -> Array:
    """(steps + 1, N) row n: how likely a walk from each node has n more symbols, up to a factor of the row.

    Edges weighed by it are those of the walks that are long enough. Only ratios within a row are used, and without the
    factor the numbers of long walks would become 0.
    """
    grammar = EMBEDDED if embedded else REBER
    rows = np.ones((steps + 1, len(grammar)))
    for n in range(1, steps + 1):
        likely = [np.mean(rows[n - 1][list(edges.values())]) if edges else 0 for edges in grammar]
        rows[n] = np.array(likely) / max(likely)
    return rows


def _accepts(grammar: Grammar, text: str) -> bool:
    node = 0
    for symbol in text:
        if symbol not in grammar[node]:
            return False
        node = grammar[node][symbol]
    return node == len(grammar) - 1
