"""What a machine did: kept as it was, refused where it does not fit, and told in the right words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import unroll
from companion.lstm import LSTM
from companion.memory_trace import Trace, facts, record, require_trace, sentence, sweep
from companion.ntm import ntm
from companion.ops import linear, linear_init, sigmoid
from tests.contract.copying import copied, copying_machine

T, N, M, D, C = 9, 7, 4, 5, 3


def trace_of(rng: np.random.Generator, **changes: Any) -> Trace:
    """An LSTM controller with random weights, and random targets."""
    cell = ntm(rows=N, width=M)
    params, readout = cell.init(rng, D, 6), linear_init(rng, 6 + M, C)
    bits = rng.integers(0, 2, (T, 1, C)).astype(float)
    trace = record(cell, params, readout, rng.normal(size=(T, 1, D)), bits, rng.random((T, 1)) < 0.5)
    return trace._replace(**changes)


def test_the_trace_is_what_the_machine_computes(rng: np.random.Generator) -> None:
    cell, xs = ntm(rows=N, width=M), rng.normal(size=(T, 1, D))
    params, readout = cell.init(rng, D, 6), linear_init(rng, 6 + M, C)
    before = xs.copy()
    trace = record(cell, params, readout, xs)
    ys, last, _ = unroll(cell, params, xs, cell.initial_state(params, 1))
    np.testing.assert_allclose(trace.outputs, sigmoid(linear(readout, ys[:, 0])[0]), rtol=1e-14)
    np.testing.assert_array_equal(trace.memory[0], np.full((N, M), 1e-6))
    np.testing.assert_array_equal(trace.memory[-1], last.memory[0])
    np.testing.assert_array_equal([trace.read[-1], trace.write[-1]], last.w[0])
    np.testing.assert_array_equal(xs, before)
    np.testing.assert_array_equal(trace.xs, xs[:, 0])
    assert (trace.targets, trace.mask) == (None, None)


def test_what_was_kept_of_the_heads_explains_reads_and_memory(rng: np.random.Generator) -> None:
    trace = trace_of(rng)
    for t in range(T):
        w, before = trace.write[t][:, None], trace.memory[t]
        np.testing.assert_allclose(
            trace.memory[t + 1], before * (1 - w * trace.erase[t]) + w * trace.add[t], atol=1e-12
        )
    assert np.ptp(trace.add) > 0.1


def test_a_machine_set_by_hand_copies() -> None:
    for length in (2, 3, 9):
        trace, episode = copied(length)
        np.testing.assert_array_equal(np.rint(trace.outputs)[episode.mask[:, 0]], episode.targets[episode.mask])
        rows = [(t + 1) % (length + 1) for t in range(2 * length + 1)]
        assert trace.write.argmax(axis=1).tolist() == trace.read.argmax(axis=1).tolist() == rows


def test_single_precision_is_kept(rng: np.random.Generator) -> None:
    cell = ntm(rows=N, width=M)
    params, readout = cell.init(rng, D, 6, np.float32), linear_init(rng, 6 + M, C, np.float32)
    trace = record(cell, params, readout, rng.normal(size=(T, 1, D)).astype(np.float32))
    assert {array.dtype for array in trace if array is not None} == {np.dtype(np.float32)}
    require_trace("f", trace)


def test_a_step_is_told_in_words() -> None:
    trace, episode = copied(4)
    first = "".join(str(int(bit)) for bit in episode.xs[0, 0, :8])
    said = sentence(trace, 0, "vector 1").replace("\N{NO-BREAK SPACE}", " ")
    assert said == (
        f"Step 1 of 9, vector 1: the input is {first[:4]} {first[4:]} 0. "
        "The write head stands at row 1 (1.00), erases 1.00 and adds -1.00 to 1.00. "
        "The read head stands at row 1 (1.00) and reads 0.00. The output is 1111 1111, but nothing is asked."
    )
    said = sentence(trace, 5).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("Step 6 of 9: the input is 0000 0000 0. ")
    assert said.endswith(f"reads -1.00 to 1.00. The output is {first[:4]} {first[4:]}, as asked.")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(0, ", as asked."), (1, ", so 1 of 8 bits is wrong."), (3, ", so 3 of 8 bits are wrong.")],
)
def test_wrong_bits_are_counted(wrong: int, words: str) -> None:
    trace, _ = copied(4)
    targets = np.array(trace.targets)
    targets[5, :wrong] = 1 - targets[5, :wrong]
    assert sentence(trace._replace(targets=targets), 5).endswith(words)


def test_without_targets_nothing_is_said_of_them_and_without_a_mask_all_are_asked() -> None:
    trace, _ = copied(4, mask=None)
    assert "asked" in sentence(trace, 0)
    assert "nothing is asked" not in sentence(trace, 0)
    alone = copied(4, targets=None, mask=None)[0]
    assert "asked" not in sentence(alone, 0)
    assert "target" not in facts(alone, 0)
    assert list(facts(trace, 0))[-1] == "target"


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0, 0, 1, 0, 0], "row 2 (1.00)"),
        ([0, 0.4, 0.05, 0, 0.55], "rows 4 (0.55), 1 (0.40)"),
        ([0.25, 0.25, 0.25, 0.25, 0], "rows 0 (0.25), 1 (0.25), 2 (0.25)"),
        ([0.04] * 20 + [0.05] + [0.03] * 5, "row 20 (0.05)"),
    ],
    ids=str,
)
def test_a_head_stands_where_its_focus_is(weights: list[float], words: str) -> None:
    trace, _ = copied(4)
    assert facts(trace._replace(write=np.array([weights] * 9)), 3)["write head at"] == words


def test_numbers_that_are_no_bits_have_two_digits_and_no_negative_zero() -> None:
    trace, _ = copied(2)
    told = facts(trace._replace(xs=np.tile([0, 1, -0.333], (5, 1)), add=np.tile([-0.001, 0.001], (5, 1))), 0)
    assert told["input"] == "0 1 -0.33"
    assert told["adds"] == "0.00"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xs": np.ones(T)}, r"trace\.xs has shape \(9,\), expected \(T, D\)"),
        ({"xs": np.ones((T, D), int)}, r"trace\.xs has dtype int\d+, expected a NumPy array of floating"),
        ({"write": np.full((T + 1, N), 1 / N)}, r"trace\.write has shape \(10, 7\), expected \(9, N\)"),
        ({"write": np.full((T, N), 0.5)}, r"trace\.write\[0\] sums to 3\.5, expected probabilities"),
        ({"read": np.full((T, N + 1), 1 / (N + 1))}, r"trace\.read has shape \(9, 8\), expected \(9, 7\)"),
        ({"erase": np.full((T, M), 1.5)}, r"trace\.erase has numbers from 1\.5 to 1\.5, expected 0 to 1"),
        ({"add": np.ones((T, M + 1))}, r"trace\.add has shape \(9, 5\), expected \(9, 4\)"),
        ({"add": np.full((T, M), np.nan)}, r"trace\.add has 36 values that are not finite"),
        ({"memory": np.ones((T, N, M))}, r"trace\.memory has shape \(9, 7, 4\), expected \(10, 7, 4\)"),
        ({"outputs": np.full((T, C), -0.1)}, r"trace\.outputs has numbers from -0\.1 to -0\.1"),
        ({"outputs": np.full((T, C), np.nan)}, r"trace\.outputs has 27 values that are not finite"),
        ({"targets": np.ones((T, C + 1))}, r"trace\.targets has shape \(9, 4\), expected \(9, 3\) as trace\.outputs"),
        ({"targets": np.full((T, C), 2.0)}, r"trace\.targets has numbers from 2 to 2"),
        ({"targets": [[1.0] * C] * T}, r"trace\.targets is a list, expected a NumPy array"),
        ({"targets": None}, r"trace\.mask has dtype bool and no targets, expected bool and targets"),
        ({"mask": np.ones(T)}, r"trace\.mask has dtype float64 and targets, expected bool and targets"),
        ({"mask": [1] * T}, r"trace\.mask has dtype int\d+ and targets"),
        ({"mask": np.ones(T - 1, bool)}, r"trace\.mask has shape \(8,\), expected \(9,\)"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused(rng: np.random.Generator, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^f: " + message):
        require_trace("f", trace_of(rng, **changes))


def test_what_is_no_trace_is_refused() -> None:
    with pytest.raises(ValueError, match="f: trace is a tuple, expected Trace"):
        require_trace("f", (1, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xs": np.ones((3, 9))}, r"xs has shape \(3, 9\), expected \(T, 1, D\)"),
        ({"xs": np.ones((3, 2, 9))}, r"xs has shape \(3, 2, 9\), expected \(T, 1, D\)"),
        ({"targets": np.ones((2, 1, 8))}, r"targets has shape \(2, 1, 8\), expected \(3, 1, C\) from xs"),
        ({"mask": np.ones(3, bool)}, r"mask has shape \(3,\), expected \(3, 1\) from xs"),
    ],
)
def test_record_refuses_more_than_one_sequence(changes: dict[str, Any], message: str) -> None:
    cell, params, readout = copying_machine(4)
    with pytest.raises(ValueError, match="^record: " + message):
        record(cell, params, readout, **({"xs": np.ones((3, 1, 9))} | changes))


@pytest.mark.parametrize(
    ("heads", "words"), [({"read_heads": 2}, "2 read and 1 write"), ({"write_heads": 3}, "1 read and 3 write")]
)
def test_record_refuses_other_machines(rng: np.random.Generator, heads: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=f"record: cell has {words} heads, expected one of each"):
        record(*copying_machine(4, **heads), np.ones((3, 1, 9)))
    with pytest.raises(ValueError, match="record: the state of cell is a LSTMState, expected NTMState"):
        record(LSTM, LSTM.init(rng, 9, 5), linear_init(rng, 5, 8), np.ones((3, 1, 9)))


# --- sweeps


def standing(*rows: int, N: int = 7) -> Any:
    """Weightings (L, 1, N) of a head that stands at these rows, one step after the other."""
    return np.eye(N)[list(rows)][:, None]


@pytest.mark.parametrize(
    ("write", "read", "expected"),
    [
        ([4, 5, 6, 0], [3, 4, 5, 6, 0], (1, 1)),  # round the end
        ([2, 1, 0, 6], [2, 1, 0, 6, 5], (1, 1)),  # the other way, and the controller says later what was read
        ([0, 1, 2, 2, 3], [0, 0, 1, 2, 2, 3], (0.75, 1)),
        ([0, 1, 2, 3], [4, 0, 1, 2, 2], (1, 0.75)),
        ([0, 1, 0, 1], [0, 5, 5, 5, 5], (2 / 3, 0.25)),  # to and fro is not the same way
    ],
)
def test_sweep_counts_steps_the_same_way_and_vectors_found_again(write: Any, read: Any, expected: Any) -> None:
    assert sweep(standing(*write), standing(*read)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("write", "read", "message"),
    [
        (standing(1), standing(1, 2), r"write.shape\[0\] is 1, expected .* 2"),
        (standing(1, 2), standing(1, 2), r"read has shape \(2, 1, 7\), expected \(3, 1, 7\) from write"),
        (standing(1, 2) * np.nan, standing(1, 2, 3), "write has 14 values that are not finite"),
        (standing(1, 2), 2 * standing(1, 2, 3), r"read\[0, 0\] sums to 2, expected"),
    ],
)
def test_sweep_refuses_what_are_no_weightings_of_a_list(write: Any, read: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^sweep: " + message):
        sweep(write, read)
