"""Code as the book shows it: read from the package, so that a page cannot differ from what is tested (every chapter)."""

import ast
import inspect
import textwrap
from typing import Any

WIDTH = 84  # of code that a page shows without scrolling


def source(thing: Any) -> str:
    """Source code of a function or class without type annotations, so that it runs wherever `np` is NumPy."""
    text = textwrap.dedent(inspect.getsource(thing))
    lines = text.splitlines()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AnnAssign)]
    for node in sorted(nodes, key=lambda node: node.lineno, reverse=True):
        if isinstance(node, ast.FunctionDef):
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            if node.body[0].lineno == node.lineno:
                raise ValueError(f"source: {node.name} stands on one line, expected its body on lines of its own")
            plain = signature(node)
            header = range(node.lineno, node.body[0].lineno)  # up to the line that ends with the colon
            end = next(line for line in header if lines[line - 1].split("#")[0].rstrip().endswith(":"))
        elif node.value is not None:
            plain = f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
            end = node.end_lineno or node.lineno
        else:  # a field of a named tuple, where the annotation is the point
            continue
        lines[node.lineno - 1 : end] = textwrap.indent(plain, " " * node.col_offset).splitlines()
    return "\n".join(lines) + "\n"


def signature(node: ast.FunctionDef) -> str:
    """The line or lines `def name(...):` of a function."""
    arguments = ast.unparse(node.args)
    one_line = f"def {node.name}({arguments}):"
    return one_line if len(one_line) <= WIDTH else f"def {node.name}(\n    {arguments}\n):"


class Code:
    """The source of one or more functions or classes; a notebook displays it as a block of Python."""

    def __init__(self, *things: Any) -> None:
        self.text = "\n\n\n".join(source(thing).strip() for thing in things)

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"
