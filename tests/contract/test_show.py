"""Code as the book shows it: without annotations, and still the same code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from companion.show import WIDTH, Code, source


class Kept(NamedTuple):
    """Its annotations say what its fields are."""

    x: int  # (B,)


def many(x: int, /, *rest: float, flag: bool = False, **more: str) -> int:
    # why
    y: int = x
    return y


def long_name(first: int = 1, second: int = 2, third: int = 3, fourth: int = 4, fifth: int = 5, sixth: int = 6) -> int:
    """Sum."""
    return first + second + third + fourth + fifth + sixth


def one_line(x: int) -> int: return x  # fmt: skip


def test_annotations_go_and_comments_stay() -> None:
    assert source(many) == "def many(x, /, *rest, flag=False, **more):\n    # why\n    y = x\n    return y\n"


def test_fields_of_a_named_tuple_keep_their_annotations() -> None:
    assert "    x: int  # (B,)" in source(Kept)


def test_a_long_signature_is_wrapped_and_runs() -> None:
    text = source(long_name)
    assert all(len(line) <= WIDTH for line in text.splitlines()[:3])
    namespace: dict[str, object] = {"np": np}
    exec(text, namespace)
    assert namespace["long_name"]() == 21  # type: ignore[operator]


def test_a_function_on_one_line_is_refused() -> None:
    with pytest.raises(ValueError, match="source: one_line stands on one line"):
        source(one_line)


def test_a_block_of_code_is_a_fence_of_python() -> None:
    block = Code(many, long_name)._repr_markdown_()
    assert block.startswith("```python\ndef many(") and block.endswith("\n```")
    assert "\n\n\ndef long_name(" in block
