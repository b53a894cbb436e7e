"""Neural Turing machines, their memories and their stages of addressing: what they refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import unroll, unrolled
from companion.gru import GRU
from companion.heads import head_parameters
from companion.lstm import LSTM
from companion.ntm import Feedforward, ntm
from companion.rnn import jordan
from tests.contract.cells import CELLS, B, D, H, T
from tests.contract.ntm_by_loops import SIZES
from tests.contract.refusals import FINITE, FLOATS, Cases, float32, require_message
from tests.contract.stages import STAGES, K, M, N

RNG = np.random.default_rng(7)
# Arguments of each stage: the first that is named gives the sizes and the dtype that the others must have.
AXES: dict[str, dict[str, str]] = {
    "content_address": {"memory": "(B, N, M)", "key": "(3, K, 4)", "strength": "(3, 2)"},
    "interpolate": {"content": "(B, K, N)", "gate": "(3, 2)", "prev": "(3, 2, 7)"},
    "shift": {"w": "(B, K, N)", "s": "(3, 2, 2J + 1)"},
    "sharpen": {"w": "(B, K, N)", "sharpness": "(3, 2)"},
    "read": {"memory": "(B, N, M)", "w": "(3, K, 7)"},
    "erase_add": {"memory": "(B, N, M)", "w": "(3, K, 7)", "erase": "(3, 2, 4)", "add": "(3, 2, 4)"},
}
GRADIENTS = {
    "content_address": "dw",
    "interpolate": "dw",
    "shift": "dy",
    "sharpen": "dy",
    "read": "dr",
    "erase_add": "dmemory",
}


def right(stage: str) -> dict[str, Any]:
    return STAGES[stage].inputs(np.random.default_rng(2))


def call(stage: str, **wrong: Any) -> Any:
    return STAGES[stage].forward(**right(stage) | wrong)


def back(stage: str, change: Any) -> Any:
    y, cache = call(stage)
    return STAGES[stage].backward(cache, change(y))


def shape(a: Any) -> str:
    return str(a.shape)


def with_entry(a: Any, index: tuple[int, ...], value: float) -> Any:
    a = a.copy()
    a[index] = value
    return a


CASES: Cases = {}
for stage, axes in AXES.items():
    reference, *_ = axes
    for name, expected in axes.items():
        a = right(stage)[name]
        first = (1, *[0] * (a.ndim - 1))
        where = f"has 1 values that are not finite, the first at {list(first)} "
        wrong: dict[str, tuple[Any, tuple[str, str, str]]] = {
            "in a list": (a.tolist(), (name, "is a list", FLOATS)),
            "of integers": (np.ones(a.shape, int), (name, "has dtype int64", FLOATS)),
            "of one example": (a[0], (name, f"has shape {shape(a[0])}", f"expected {expected}")),
            "of no examples": (a[:0], (name, f"has shape {shape(a[:0])}", f"expected {expected} and no empty axis")),
            "with one more axis": (a[..., None], (name, f"has shape {shape(a[..., None])}", f"expected {expected}")),
            "with a NaN": (with_entry(a, first, np.nan), (name, where + "(nan)", FINITE)),
            "with an infinity": (with_entry(a, first, -np.inf), (name, where + "(-inf)", FINITE)),
        }
        if name != reference:
            wrong["to be broadcast"] = (a[:1], (name, f"has shape {shape(a[:1])}", f"expected {expected}"))
            wrong["in float32"] = (
                float32(a),
                (name, "has dtype float32", f"expected float64; convert it with {name}.astype('float64')"),
            )
        if name != reference and not expected.endswith("2J + 1)"):
            wrong["one too wide"] = (
                np.concatenate([a, a[..., :1]], axis=-1),
                (name, f"has shape ({', '.join(map(str, a.shape[:-1]))}, {a.shape[-1] + 1})", f"expected {expected}"),
            )
        CASES |= {
            f"{stage} of {name} {what}": (lambda s=stage, n=name, v=value: call(s, **{n: v}), (stage, *parts))
            for what, (value, parts) in wrong.items()
        }
for stage, name in GRADIENTS.items():
    y, _ = call(stage)
    CASES |= {
        f"{stage}: {name} {what}": (lambda s=stage, c=change: back(s, c), (f"{stage}_backward", name, *parts))
        for what, change, parts in (
            ("to be broadcast", lambda y: y[:1], (shape(y[:1]), f"expected {shape(y)} as the result")),
            ("of one example", lambda y: y[0], (shape(y[0]), f"expected {shape(y)} as the result")),
            ("in float32", float32, ("has dtype float32", "expected float64 as ")),
            ("in a list", lambda y: y.tolist(), ("is a list", "expected a NumPy array of float64")),
        )
    }

# --- numbers outside the range of a stage

ONES = np.ones((B, K))
CASES |= {
    f"{stage} with {name} {what}": (
        lambda s=stage, n=name, v=value: call(s, **{n: v}),
        (stage, argument, received, expected),
    )
    for stage, name, what, value, argument, received, expected in (
        ("content_address", "strength", "0", with_entry(ONES, (2, 1), 0), "strength[2, 1]", "is 0.0", "above 0"),
        ("content_address", "strength", "-1", -ONES, "strength[0, 0]", "is -1.0", "expected numbers above 0"),
        (
            "content_address",
            "key",
            "all zeros",
            with_entry(right("content_address")["key"], (1, 0), 0),
            "key[1, 0]",
            "is all zeros",
            "expected a vector with a direction: 0 has no cosine",
        ),
        ("interpolate", "gate", "1.5", with_entry(ONES, (1, 0), 1.5), "gate[1, 0]", "is 1.5", "numbers in 0 ... 1"),
        ("interpolate", "gate", "-0.1", -0.1 * ONES, "gate[0, 0]", "is -0.1", "expected numbers in 0 ... 1"),
        ("shift", "s", "of 4 moves", np.ones((B, K, 4)), "s", "has 4 shifts", "an odd number of at most the 7 rows"),
        ("shift", "s", "of 9 moves", np.ones((B, K, 9)), "s", "has 9 shifts", "an odd number of at most the 7 rows"),
        ("sharpen", "sharpness", "0.9", 0.9 * ONES, "sharpness[0, 0]", "is 0.9", "expected numbers of at least 1"),
        ("sharpen", "w", "negative", with_entry(right("sharpen")["w"], (0, 1, 3), -0.2), "w[0, 1, 3]", "is -0.2",
         "expected weights of at least 0"),
        ("erase_add", "erase", "1.1", 1.1 * np.ones((B, K, M)), "erase[0, 0, 0]", "is 1.1", "shares in 0 ... 1"),
        ("erase_add", "erase", "negative", with_entry(np.ones((B, K, M)), (2, 1, 3), -1e-3), "erase[2, 1, 3]",
         "is -0.001", "expected shares in 0 ... 1"),
    )
}  # fmt: skip

# --- the settings of a machine

WHOLE = "expected a whole number of at least 1"
CASES |= {
    f"ntm with {name} {value!r:.20}": (lambda n=name, v=value: ntm(**{n: v}), ("ntm", name, received, expected))
    for name, value, received, expected in (
        *((name, 0, "is 0", WHOLE) for name in ("rows", "width", "read_heads", "write_heads")),
        *((name, 2.0, "is 2.0", WHOLE) for name in ("rows", "width", "read_heads", "write_heads")),
        ("rows", True, "is True", WHOLE),
        ("width", "20", "is '20'", WHOLE),
        ("read_heads", None, "is None", WHOLE),
        ("shift_range", -1, "is -1", "expected a whole number of at least 0"),
        ("shift_range", 1.0, "is 1.0", "expected a whole number of at least 0"),
        ("shift_range", 64, "is 64", "expected at most 63 with 128 rows: 129 shifts"),
        ("gate_bias", np.nan, "is nan", "expected a number in (-inf, inf)"),
        ("gate_bias", -np.inf, "is -inf", "expected a number in (-inf, inf)"),
        ("gate_bias", "-2", "is '-2'", "expected a number"),
        ("controller", "LSTM", "is 'LSTM'", "expected Cell, such as lstm.LSTM"),
        ("controller", unrolled(LSTM), "is Layer(", "expected Cell, such as lstm.LSTM"),
        ("controller", None, "is None", "expected Cell"),
    )
}
CASES |= {
    "shift range wider than the memory": (
        lambda: ntm(rows=4, shift_range=2),
        ("ntm", "shift_range", "is 2", "expected at most 1 with 4 rows: 5 shifts"),
    ),
    "memory of one row with neighbours": (
        lambda: ntm(rows=1),
        ("ntm", "shift_range", "is 1", "expected at most 0 with 1 rows: 3 shifts"),
    ),
    **{
        f"ntm.init with {name} {value!r}": (
            lambda n=name, v=value: CELLS["NTM, LSTM"].init(**{"rng": RNG, "n_in": D, "n_hidden": H, n: v}),
            ("ntm_init", name, received, expected),
        )
        for name, value, received, expected in (
            ("n_in", 0, "is 0", WHOLE),
            ("n_hidden", 5.0, "is 5.0", WHOLE),
            ("rng", 0, "is 0", "expected Generator"),
            ("dtype", int, "is int64", "expected a floating-point type"),
        )
    },
    "feedforward controller without inputs": (
        lambda: Feedforward.init(RNG, 0, H),
        ("feedforward_init", "n_in", "is 0", WHOLE),
    ),
}


# --- z and the state to begin with

MACHINE, ITS_SIZES = CELLS["NTM, LSTM"], SIZES["NTM, LSTM"][1]
PARAMS = MACHINE.init(RNG, D, H)
Z = np.ones((B, 28))
CASES |= {
    f"head_parameters of z {what}": (
        lambda z=z: head_parameters(ITS_SIZES, z),
        ("head_parameters", "z", received, expected),
    )
    for what, z, received, expected in (
        ("too narrow", Z[:, 1:], "has shape (3, 27)", "expected (B, 28) for these heads"),
        ("too wide", np.ones((B, 29)), "has shape (3, 29)", "expected (B, 28) for these heads"),
        ("of one example", Z[0], "has shape (28,)", "expected (B, 28) for these heads"),
        ("of no examples", Z[:0], "has shape (0, 28)", "expected (B, 28) for these heads and no empty axis"),
        ("in a list", Z.tolist(), "is a list", FLOATS),
        ("of integers", np.ones((B, 28), int), "has dtype int", FLOATS),
    )
}
CASES |= {
    f"ntm.initial_state with {name} {value!r}": (
        lambda n=name, v=value: MACHINE.initial_state(PARAMS, **{"batch": B, n: v}),
        ("ntm_initial_state", name, f"is {value!r}", WHOLE),
    )
    for name, values in (("batch", (0, -1, 2.0, True, None)), ("rows", (0, -1, 2.0, "6")))
    for value in values
}
CASES["ntm.initial_state with fewer rows than shifts"] = (
    lambda: MACHINE.initial_state(PARAMS, B, 2),
    ("ntm_initial_state", "shift_range", "is 1", "expected at most 0 with 2 rows: 3 shifts"),
)


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for stage in STAGES:
        call(stage)
        back(stage, lambda y: y)
        STAGES[stage].forward(**float32(right(stage)))
    call("content_address", strength=np.full((B, K), 1e-30), key=np.full((B, K, M), 1e-30))
    for gate in (0.0, 1.0):
        call("interpolate", gate=gate * ONES)
        call("erase_add", erase=np.full((B, K, M), gate))
    call("shift", s=np.ones((B, K, N)))
    call("shift", s=np.ones((B, K, 1)))
    call("sharpen", sharpness=ONES, w=np.zeros((B, K, N)))
    ntm(rows=np.int64(3), width=np.int64(2), read_heads=1, write_heads=np.int32(2), shift_range=0, gate_bias=-2)
    ntm(rows=1, shift_range=0, gate_bias=np.float32(3))
    ntm(rows=5, shift_range=2)
    head_parameters(ITS_SIZES, Z)
    head_parameters(ITS_SIZES, float32(Z[:1]))
    assert MACHINE.initial_state(PARAMS, np.int64(1), np.int32(3)).memory.shape == (1, 3, 4)
    for cell in (LSTM, GRU, Feedforward, jordan()):
        machine = ntm(cell, rows=5, width=2)
        unroll(machine, machine.init(RNG, D, H), np.ones((T, B, D)))
