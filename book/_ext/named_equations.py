"""Equations are called by name: the label `eq-softmax` shows as (softmax), and so do the references to it.

A name says what it stands for and stays the same when an equation is added above it; a number does neither.
"""

from docutils import nodes
from sphinx.application import Sphinx

PREFIX = "eq-"


def name_equations(app: Sphinx, doctree: nodes.document) -> None:
    known = app.env.domaindata["math"][
        "objects"
    ]  # label -> (page, number); references print the number
    for equation in doctree.findall(nodes.math_block):
        label = equation.get("label") or ""
        if label.startswith(PREFIX):
            name = label.removeprefix(PREFIX).replace("-", " ")
            equation["number"] = name
            known[label] = (app.env.docname, name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", name_equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
