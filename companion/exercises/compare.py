"""Comparing what an answer returned with what was expected: the kind, the shape, the dtype, the values; never broadcasting."""

from typing import Any

import numpy as np


def wrong_kind(function: str, name: str, received: Any, wanted: Any, rtol: float) -> str | None:
    """None when output `name` of `function` has the right type, shape and dtype, otherwise a sentence that says what is wrong."""
    what = f"{function}: {name}"
    typed = all(isinstance(value, np.ndarray | np.generic) for value in (received, wanted))  # Python's numbers adapt
    wanted = np.asarray(wanted)
    expected = f"an array of shape {wanted.shape}" if wanted.ndim else "a single number"
    if isinstance(received, list) and wanted.ndim:
        return f"{what} is a list, expected a NumPy array: wrap it in np.array(...)."
    if isinstance(received, tuple):
        stray = ": look for a stray comma" if len(received) == 1 else ", without anything else"
        return f"{what} is a tuple of {len(received)}, expected {expected}{stray}."
    if not isinstance(received, np.ndarray | np.number | int | float) or isinstance(received, bool):
        return f"{what} is {described(received)}, expected {expected}."
    array = np.asarray(received)
    if array.shape != wanted.shape:
        is_ = f"has shape {array.shape}" if array.ndim else f"is the single number {shortened(array.item())}"
        return f"{what} {is_}, expected {expected}.{_same_but_for_shape(array, wanted, rtol)}"
    if array.dtype.kind not in "iuf" or (typed and array.dtype != wanted.dtype):
        return f"{what} has dtype {array.dtype}, expected {wanted.dtype}: {_remedy(array.dtype.kind)}"
    return None


def wrong_values(function: str, name: str, received: Any, wanted: Any, rtol: float) -> str | None:
    """None when the numbers of an output of the right kind are right, otherwise a sentence that says where they differ."""
    received, wanted = np.asarray(received), np.asarray(wanted)
    return None if _close(received, wanted, rtol) else f"{function}: {name} {_first_difference(received, wanted, rtol)}"


def same(a: Any, b: Any, rtol: float) -> bool:
    """Equal in shape and, up to rounding, in values; NaN equals NaN."""
    try:
        a, b = np.asarray(a), np.asarray(b)
    except ValueError:  # rows of different lengths
        return False
    return a.shape == b.shape and _close(a, b, rtol, equal_nan=True)


def described(value: Any) -> str:
    """The type with its article, and the value if it is short: "a str ('2.30')", "an array of shape (2, 3)"."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"a {kind} with the keys {', '.join(map(str, value))}"
    if isinstance(value, list | tuple) and len(shortened(value)) == 60:
        return f"a {kind} of {len(value)}"
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind} ({shortened(value)})"


def shortened(value: Any) -> str:
    """The beginning of repr(value), on one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a __repr__ of the reader that does not work yet
        text = object.__repr__(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _same_but_for_shape(received: Any, wanted: Any, rtol: float) -> str:
    if received.size != wanted.size:
        return ""
    if received.T.shape == wanted.shape and _close(received.T, wanted, rtol):
        return " It is the transpose of the right answer."
    return (
        " The numbers are right, only their shape is not."
        if _close(received.reshape(wanted.shape), wanted, rtol)
        else ""
    )


def _remedy(kind: str) -> str:
    if kind == "f":
        return "keep the dtype of the arguments."
    return "integers lose their fraction." if kind in "iu" else "its entries have to be real numbers."


def _first_difference(received: Any, wanted: Any, rtol: float) -> str:
    if wanted.ndim == 0:
        yours, right = _digits(received, wanted)
        return f"is {yours}, expected {right}.{_pattern(received, wanted, rtol)}"
    wrong = ~np.isclose(received, wanted, rtol=0, atol=_tolerance(wanted, rtol))
    index = tuple(int(k) for k in np.argwhere(wrong)[0])
    at = ", ".join(map(str, index))
    yours, right = _digits(received[index], wanted[index])
    return (
        f"differs in {int(wrong.sum())} of {wrong.size} entries, the first at [{at}]: "
        f"yours {yours}, expected {right}.{_pattern(received, wanted, rtol)}"
    )


def _digits(a: Any, b: Any) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to see that they differ."""
    for digits in (6, 9, 12):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            return f"{a:.{digits}g}", f"{b:.{digits}g}"
    return repr(float(a)), repr(float(b))


def _pattern(received: Any, wanted: Any, rtol: float) -> str:
    """What the wrong numbers have in common."""
    lost = int((~np.isfinite(received) & np.isfinite(wanted)).sum())
    if lost:
        which = f"{lost} of your entries {'is' if lost == 1 else 'are'}" if wanted.ndim else "Yours is"
        return f" {which} not finite: look for an overflow, 0 / 0 or the logarithm of 0."
    if wanted.ndim == 2 and received.T.shape == wanted.shape and _close(received.T, wanted, rtol):
        return " Yours is the transpose of the right answer."
    factor = float((received * wanted).sum() / (wanted**2).sum()) if wanted.size > 1 and wanted.any() else 0.0
    if f"{factor:.6g}" not in ("0", "1") and _close(received, factor * wanted, rtol):
        return f" Every entry of yours is {factor:.6g} times the right one."
    return ""


def _close(a: Any, b: Any, rtol: float, equal_nan: bool = False) -> bool:
    if not all(np.issubdtype(x.dtype, np.number) for x in (a, b)):
        return False
    return np.allclose(a, b, rtol=0, atol=_tolerance(b, rtol), equal_nan=equal_nan)


def _tolerance(wanted: Any, rtol: float) -> float:
    """Absolute, from the largest entry: a sum of large terms may leave a small one with fewer right digits."""
    finite = np.abs(wanted[np.isfinite(wanted)])
    return rtol * float(finite.max()) if finite.size else 0.0
