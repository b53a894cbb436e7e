"""Typeset docstrings and signatures that are written to be read in the source.

There, a formula is an indented block, a type is a short name such as `Array`, and what a field of a named tuple holds
is the comment behind it. Here the block becomes a literal block, the short names stay, and the comments become a list.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.rst import escape

FIELD = re.compile(r"\s+(?P<name>\w+): .+?\s+# (?P<comment>.*)$")
OWNS_INDENTED_LINES = ("- ", "* ", ".. ", ":")  # list items, directives, fields


def typeset(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = mark_literal_blocks(lines)
    if what == "class" and hasattr(obj, "_fields"):
        lines += ["", *describe_fields(obj)]


def mark_literal_blocks(lines: list[str]) -> Iterator[str]:
    previous, owned = "", False
    for line in lines:
        if line and not line.startswith(" "):
            owned = line.startswith(OWNS_INDENTED_LINES) or line.endswith("::")
        elif line and not previous and not owned:
            yield from (".. code-block:: text", "")
            owned = True
        yield line
        previous = line


def describe_fields(named_tuple: Any) -> Iterator[str]:
    for line in inspect.getsource(named_tuple).splitlines():
        field = FIELD.match(line)
        if field and field["name"] in named_tuple._fields:
            yield f"- ``{field['name']}`` {escape(field['comment'])}"


def show_as_written(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    if what == "class" and hasattr(obj, "_fields"):
        # The fields are listed below the name, with their comments.
        return f"({', '.join(obj._fields)})", None
    written = vars(obj).get("__init__") if what == "class" else obj
    if not inspect.isfunction(written):
        return signature, returns
    if written.__code__.co_filename == "<string>":  # a dataclass wrote it
        return signature, returns
    function = ast.parse(textwrap.dedent(inspect.getsource(written))).body[0]
    assert isinstance(function, ast.FunctionDef)
    if what in ("class", "method"):
        del function.args.args[:1]  # self
    if what == "class":
        return f"({ast.unparse(function.args)})", None
    result = ast.unparse(function.returns) if function.returns else None
    return f"({ast.unparse(function.args)})", result


def skip_field_aliases(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    return True if type(obj).__name__ == "_tuplegetter" else None


def accept_unlinked_types(
    app: Sphinx, domain: object, node: nodes.Element
) -> bool | None:
    """What a sentence refers to must exist; a type in a signature, which no role made, may belong to another project."""
    from_signature = node.get("reftype") == "class" and "refwarn" not in node
    return True if from_signature else None


def setup(app: Sphinx) -> dict[str, bool]:
    sys.path.insert(0, str(app.srcdir))  # document this checkout, installed or not
    app.connect("autodoc-process-docstring", typeset)
    app.connect("autodoc-process-signature", show_as_written)
    app.connect("autodoc-skip-member", skip_field_aliases)
    app.connect("warn-missing-reference", accept_unlinked_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
