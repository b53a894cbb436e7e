"""The five algorithmic tasks of the neural Turing machine (chapter *Neural Turing machines*).

    copy                 show a sequence, say it again
    repeat copy          say it as often as a number asks for, then say that it is over
    associative recall   show items in order, show one of them again; which came next?
    dynamic n-grams      predict the bits of a source whose table of probabilities is new in every sequence
    priority sort        show vectors with priorities, say those of highest priority in order

The tasks follow Graves, Wayne and Danihelka (2014), *Neural Turing Machines*, arXiv:1410.5401, section 4; each function says
what the paper leaves open and how it is decided here. Sequences are drawn from a seeded generator, as many as are asked
for: nothing is stored, and a test set is a second seed. All sequences of a call have the same length, which the caller draws.

Bits come first among the channels, then delimiters and numbers. While it answers, a net is shown nothing but zeros, except
in dynamic n-grams.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_finite,
    require_float,
    require_instance,
    require_range,
    require_shape,
    require_sizes,
    require_whole,
)

# Mean and standard deviation of a number of repeats uniform in 1 ... 10, on which the paper trains.
REPEATS_MEAN = 5.5
REPEATS_DEVIATION = 8.25**0.5

LONGEST_CONTEXT = 20  # a table has 2^context numbers for every sequence
TEXT_STEPS = 70  # in one block of text: with the names before it, 81 columns


class Episodes(NamedTuple):
    """Sequences that are to be answered with bits at some of their steps."""

    xs: Array  # (T, B, D) inputs
    targets: Array  # (T, B, C) what a net should say: 0 or 1; 0 where nothing is asked
    mask: NDArray[np.bool_]  # (T, B) True where an answer is asked


def copy(rng: np.random.Generator, batch: int, length: int, bits: int = 8, dtype: Any = np.float64) -> Episodes:
    """Draw `length` random vectors and a delimiter; the answer is the vectors in the same order (section 4.1).

    D = bits + 1, the last channel being the delimiter's; C = bits; T = 2 length + 1. The paper trains on 8 bits and lengths
    uniform in 1 ... 20.

    Raises ValueError unless batch, length and bits are whole numbers of at least 1 and dtype is floating-point.
    """
    require_sizes("copy", rng, dtype, batch=batch, length=length, bits=bits)
    vectors = rng.integers(0, 2, (length, batch, bits))
    xs = np.zeros((2 * length + 1, batch, bits + 1), dtype)
    xs[:length, :, :bits] = vectors
    xs[length, :, bits] = 1
    return _answered_last(xs, vectors)


def repeat_copy(
    rng: np.random.Generator, batch: int, length: int, repeats: int, bits: int = 8, dtype: Any = np.float64
) -> Episodes:
    """Draw `length` random vectors and show how often to say them; the answer ends with a marker (section 4.2).

    D = bits + 2: in the step after the vectors the delimiter is 1, and the last channel holds the number, as (repeats -
    REPEATS_MEAN) / REPEATS_DEVIATION. C = bits + 1, the last channel being the end marker's, 1 in the last step only, whose
    bits are 0. T = length (repeats + 1) + 2.

    The paper trains on 8 bits, lengths and repeats uniform in 1 ... 10, and a number of mean 0 and variance 1. It names no
    delimiter; without one the number alone would say that the vectors are over, faintly at 5 and 6, where it is near 0.

    Raises ValueError unless batch, length, repeats and bits are whole numbers of at least 1 and dtype is floating-point.
    """
    require_sizes("repeat_copy", rng, dtype, batch=batch, length=length, repeats=repeats, bits=bits)
    vectors = rng.integers(0, 2, (length, batch, bits))
    xs = np.zeros((length * (repeats + 1) + 2, batch, bits + 2), dtype)
    xs[:length, :, :bits] = vectors
    xs[length, :, bits] = 1
    xs[length, :, bits + 1] = (repeats - REPEATS_MEAN) / REPEATS_DEVIATION
    answers = np.zeros((length * repeats + 1, batch, bits + 1), np.int64)
    answers[:-1, :, :bits] = np.tile(vectors, (repeats, 1, 1))
    answers[-1, :, bits] = 1
    return _answered_last(xs, answers)


def associative_recall(
    rng: np.random.Generator, batch: int, items: int, item_length: int = 3, bits: int = 6, dtype: Any = np.float64
) -> Episodes:
    """Draw items of `item_length` random vectors and show one of them, but the last, again; what followed it? (section 4.3)

    D = bits + 2: after the bits the item delimiter's channel, 1 in one step before every item, and the query delimiter's, 1 in
    one step before the query and one after it. C = bits; T = (items + 1) (item_length + 1) + 1 + item_length.

    The paper trains on 3 vectors of 6 bits and 2 to 6 items. It bounds items on both sides; here the next delimiter is the
    right bound. It does not say that items differ. Here those of one sequence do, or two could claim to follow the query: one
    that equals an earlier one is drawn again, so that every choice of different items, in any order, is equally likely.

    Raises ValueError unless batch, item_length and bits are whole numbers of at least 1, items is one of at least 2 and at most
    2^(item_length bits), as many as can differ, and dtype is floating-point.
    """
    require_sizes("associative_recall", rng, dtype, batch=batch, item_length=item_length, bits=bits)
    require_whole("associative_recall", "items", items, 2)
    if items > (most := 2 ** (item_length * bits)):
        why = f"as many as differ with item_length {item_length} and bits {bits}"
        raise ValueError(f"associative_recall: items is {items}, expected at most {most}, {why}")
    drawn, column = _different(rng, (items, item_length, batch, bits)), np.arange(batch)
    query = rng.integers(0, items - 1, batch)
    stride = item_length + 1  # from one item to the next
    shown = items * stride  # steps of all items
    xs = np.zeros((shown + 2 * stride, batch, bits + 2), dtype)
    xs[:shown:stride, :, bits] = 1
    for k in range(item_length):
        xs[k + 1 : shown : stride, :, :bits] = drawn[:, k]
        xs[shown + 1 + k, :, :bits] = drawn[query, k, column]
    xs[[shown, shown + stride], :, bits + 1] = 1
    return _answered_last(xs, drawn[query + 1, :, column].swapaxes(0, 1))


def dynamic_ngrams(
    rng: np.random.Generator, batch: int, length: int = 200, context: int = 5, dtype: Any = np.float64
) -> Episodes:
    """Draw `length` bits of a random source; at each step the answer is the next bit (section 4.4).

    Every sequence has its own table: for each of the 2^context contexts, the probability that a 1 follows, drawn from
    Beta(1/2, 1/2). The first `context` bits are fair coins. `optimal_ngrams` is the best that a net can do.

    D = C = 1; T = length - 1; xs[t] is bit t and targets[t] bit t + 1. Nothing is asked in the first context - 1 steps, for
    nobody can know the coins; length - context answers are. The paper has length 200 and context 5, its 6-grams.

    Raises ValueError unless batch is a whole number of at least 1, context one in 1 ... LONGEST_CONTEXT, length one greater than
    context, and dtype is floating-point.
    """
    require_sizes("dynamic_ngrams", rng, dtype, batch=batch, context=context)
    require_range("dynamic_ngrams", "context", context, 1, LONGEST_CONTEXT, "[]")
    require_whole("dynamic_ngrams", "length", length, context + 1)
    table, column = rng.beta(0.5, 0.5, (2**context, batch)), np.arange(batch)
    uniform, bits = rng.random((length, batch)), np.zeros((length, batch), np.int64)
    past = np.zeros(batch, np.int64)  # the last `context` bits as a binary number
    for t in range(length):
        bits[t] = uniform[t] < (table[past, column] if t >= context else 0.5)
        past = (2 * past + bits[t]) % 2**context
    return _answered_last(bits[:-1, :, None].astype(dtype), bits[context:, :, None])


def optimal_ngrams(xs: Array, context: int = 5) -> Array:
    """The probability (T, B, 1) that the next bit is 1, given the bits xs (T, B, 1) so far (section 4.4, eq. 10).

    After the last `context` bits came N1 ones and N0 zeros before: p = (N1 + 1/2) / (N1 + N0 + 1), the mean of the posterior
    Beta(N1 + 1/2, N0 + 1/2) of the table's entry (Murphy 2012, *Machine Learning*, section 3.3). No other prediction has a
    lower expected cross-entropy. In the first context - 1 steps, where the next bit is a fair coin, it is 1/2.

    Raises ValueError unless xs is floating-point (T, B, 1) of 0 and 1, and context a whole number in 1 ... LONGEST_CONTEXT.
    """
    require_float("optimal_ngrams", "xs", xs)
    require_shape("optimal_ngrams", "xs", xs, "T", "B", 1)
    require_whole("optimal_ngrams", "context", context, 1)
    require_range("optimal_ngrams", "context", context, 1, LONGEST_CONTEXT, "[]")
    wrong = (xs != 0) & (xs != 1)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise ValueError(f"optimal_ngrams: xs[{', '.join(map(str, where))}] is {xs[where]}, expected 0 or 1")
    bits, column = xs[:, :, 0].astype(np.int64), np.arange(xs.shape[1])
    counts = np.zeros((2, 2**context, xs.shape[1]))  # of zeros and of ones after each context
    past, probabilities = np.zeros(xs.shape[1], np.int64), np.empty_like(xs)
    for t, bit in enumerate(bits):
        if t >= context:
            counts[bit, past, column] += 1
        past = (2 * past + bit) % 2**context
        zeros, ones = counts[:, past, column]  # none in the first steps
        probabilities[t, :, 0] = (ones + 0.5) / (zeros + ones + 1)
    return probabilities


def priority_sort(
    rng: np.random.Generator, batch: int, length: int = 20, answers: int = 16, bits: int = 8, dtype: Any = np.float64
) -> Episodes:
    """Draw vectors with priorities; the answer is the `answers` of highest priority, highest first (section 4.5).

    D = bits + 2: after the bits the priority, uniform in [-1, 1], and the delimiter, 1 in the step after the last vector. C =
    bits; T = length + 1 + answers. Of equal priorities, which few but float16 has, the earlier goes first.

    The paper has 20 vectors and 16 answers. It names neither a delimiter nor the number of bits; here a delimiter says when to
    begin and bits are as many as in `copy`.

    Raises ValueError unless batch, length, answers and bits are whole numbers of at least 1, answers <= length, and dtype is
    floating-point.
    """
    require_sizes("priority_sort", rng, dtype, batch=batch, length=length, answers=answers, bits=bits)
    if answers > length:
        raise ValueError(f"priority_sort: answers is {answers}, expected at most {length} from length")
    vectors = rng.integers(0, 2, (length, batch, bits))
    priorities = rng.uniform(-1, 1, (length, batch)).astype(dtype)
    xs = np.zeros((length + 1 + answers, batch, bits + 2), dtype)
    xs[:length, :, :bits] = vectors
    xs[:length, :, bits] = priorities
    xs[length, :, bits + 1] = 1
    order = np.argsort(-priorities, axis=0, kind="stable")[:answers]
    return _answered_last(xs, np.take_along_axis(vectors, order[:, :, None], axis=0))


def wrong_bits(logits: Array, episodes: Episodes) -> float:
    """How many bits of a sequence's answer are wrong, on average over sequences: the paper's measure.

    logits: (T, B, C) as the targets; above 0 is the answer 1, which is a probability above 1/2. For probabilities p give p - 0.5.

    Raises ValueError unless the episodes are well formed and the logits finite, floating-point, and of the targets' shape.
    """
    require_episodes("wrong_bits", episodes)
    require_float("wrong_bits", "logits", logits)
    require_shape("wrong_bits", "logits", logits, *episodes.targets.shape, why="as episodes.targets")
    require_finite("wrong_bits", "logits", logits)
    wrong = (logits > 0) != (episodes.targets > 0.5)
    return float(wrong[episodes.mask].sum() / len(logits[0]))


def as_text(episodes: Episodes, b: int = 0) -> str:
    """Sequence b to print: a row for each channel, a column for each step, and the answer below the input.

    `#` is 1 and `.` is 0; any other number is rounded to one decimal and reads downwards. Where no answer is asked is blank.
    After TEXT_STEPS steps all rows go on below, with the steps counted on. No line is longer than 84 columns.

    Raises ValueError unless the episodes are well formed and b is in 0 ... B-1.
    """
    xs, targets, mask = one_episode("as_text", episodes, b)
    blocks = []
    for start in range(0, len(xs), TEXT_STEPS):
        steps = slice(start, start + TEXT_STEPS)
        ruler = "".join(f"{t:<10}" for t in range(start, min(len(xs), steps.stop), 10))
        lines = [f"{'step':11}{ruler}", *_rows("input", xs[steps], np.ones_like(mask[steps]))]
        if mask[steps].any():
            lines += _rows("answer", targets[steps], mask[steps])
        blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(blocks)


def one_episode(function: str, episodes: Episodes, b: int) -> Episodes:
    """Sequence b without the axis of the batch, for `function`, which its errors name.

    Raises ValueError unless the episodes are well formed and b is in 0 ... B-1.
    """
    require_episodes(function, episodes)
    require_whole(function, "b", b, 0)
    if b >= (batch := episodes.mask.shape[1]):
        raise ValueError(f"{function}: b is {b}, expected at most {batch - 1} from episodes.mask")
    return Episodes(episodes.xs[:, b], episodes.targets[:, b], episodes.mask[:, b])


def require_episodes(function: str, episodes: Episodes) -> None:
    """Raise ValueError unless xs (T, B, D), targets (T, B, C) and mask (T, B) fit each other and the mask is of bools."""
    require_instance(function, "episodes", episodes, Episodes, "such as copy(rng, 1, 5)")
    require_shape(function, "episodes.xs", episodes.xs, "T", "B", "D")
    axes, why = episodes.xs.shape[:2], "from episodes.xs"
    require_shape(function, "episodes.targets", episodes.targets, *axes, "C", why=why)
    require_shape(function, "episodes.mask", episodes.mask, *axes, why=why)
    mask: Any = episodes.mask
    require_dtype(function, "episodes.mask", mask, np.bool_)


def _rows(name: str, values: Array, shown: NDArray[np.bool_]) -> list[str]:
    """Lines of text for values (T, C), one or more for each channel; only steps that are shown."""
    lines = []
    for channel, numbers in enumerate(values.T):
        cells = [_cell(float(number)) if show else " " for number, show in zip(numbers, shown, strict=True)]
        height = max(map(len, cells))
        down = ["".join(letters) for letters in zip(*(cell.rjust(height) for cell in cells), strict=True)]
        names = [f"{name if channel == 0 else '':6}{channel:>4} ", *[" " * 11] * (height - 1)]
        lines += [before + letters for before, letters in zip(names, down, strict=True)]
    return lines


def _cell(number: float) -> str:
    return {0.0: ".", 1.0: "#"}.get(number, f"{number:z.1f}")  # z: a small negative number is no -0.0


def _different(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> Indices:
    """Random bits (items, item_length, B, bits), no two items of a sequence the same."""
    drawn = rng.integers(0, 2, shape)
    for i in range(1, len(drawn)):
        while (same := (drawn[:i] == drawn[i]).all(axis=(1, 3)).any(axis=0)).any():
            drawn[i][:, same] = rng.integers(0, 2, (shape[1], same.sum(), shape[3]))
    return drawn


def _answered_last(xs: Array, answers: Indices) -> Episodes:
    """Episodes whose last steps are those to be answered."""
    targets, silent = np.zeros((len(xs), *answers.shape[1:]), xs.dtype), len(xs) - len(answers)
    targets[silent:] = answers
    mask = np.zeros(targets.shape[:2], np.bool_)
    mask[silent:] = True
    return Episodes(xs, targets, mask)
