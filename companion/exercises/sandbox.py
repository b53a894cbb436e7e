"""Running a reader's code: within a time limit, and with its exceptions told in a sentence."""

import os
import re
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

# Frames of these folders are not the reader's: this package, Python's library, and what is installed beside NumPy.
LIBRARIES = (Path(__file__).parents[1], Path(os.__file__).parent, Path(np.__file__).parents[1])

Result = TypeVar("Result")


class TimeUp(BaseException):
    """The time is up. Not an Exception, so that `except Exception` in the reader's code does not swallow it."""


def call_before(deadline: float, function: Callable[[], Result]) -> Result:
    """Call `function`, or raise TimeUp inside it once `time.monotonic()` passes the deadline.

    A trace function looks at the clock before every instruction: a loop in one line, `while True: pass`, never comes to
    another line. Unlike signals and threads, that works in any thread, on any system and in a browser. It cannot
    interrupt a single long NumPy call nor a loop whose bare `except:` swallows TimeUp, and it stands aside for a debugger.
    """
    if sys.gettrace() is not None:
        return function()

    def trace(frame: types.FrameType, event: str, arg: Any) -> Any:
        if time.monotonic() > deadline:
            raise TimeUp
        frame.f_trace_opcodes = True
        return trace

    sys.settrace(trace)
    try:
        return function()
    finally:
        sys.settrace(None)


def explain(error: BaseException, name: str) -> str:
    """Tell an exception of the reader's function `name`: what, and on which of the reader's lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_the_readers(frame.filename)]
    line = f"\n  at line {own[-1].lineno}: {own[-1].line or ''}".rstrip(" :") if own else ""
    return f"{name} raised {type(error).__name__}: {str(error).strip() or 'no message'}{line}{_lost_axis(str(error))}"


def _lost_axis(message: str) -> str:
    """A question, when two arrays did not fit because one lacks an axis of the other."""
    found = re.search(r"broadcast together with shapes \(([\d,]+)\) \(([\d,]+)\)", message)
    if found is None:
        return ""
    short, long = sorted((tuple(int(size) for size in text.split(",") if size) for text in found.groups()), key=len)
    if not any(short == long[:axis] + long[axis + 1 :] for axis in range(len(long))):
        return ""
    return "\n  A sum or maximum over an axis drops that axis: did you mean keepdims=True?"


def _is_the_readers(filename: str) -> bool:
    return not filename.startswith("<frozen") and not any(Path(filename).is_relative_to(f) for f in LIBRARIES)


def called_with(arguments: dict[str, Any]) -> str:
    """The arguments in words, so that a reader can make the call again: shapes of arrays, values of numbers."""
    told = [f"{name} {_kind(value)}" for name, value in arguments.items() if not callable(value)]
    return ", ".join(told) or "no arguments"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_kind(item)}" for key, item in value.items()) + ")"
    if isinstance(value, tuple):
        return "(" + ", ".join(_kind(item) for item in value) + ")"
    if not isinstance(value, np.ndarray):
        return f"= {value!r}"
    large = np.abs(value).max(initial=0)
    return f"of shape {value.shape}" + (f" with entries up to {large:g} in size" if large > 100 else "")
