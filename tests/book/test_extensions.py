"""What the book's own Sphinx extensions do, without building the book."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from docutils import nodes
from sphinx.errors import ExtensionError

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def theme_options(monkeypatch: pytest.MonkeyPatch, url: str, branch: str = "") -> dict[str, Any]:
    monkeypatch.setenv("REPOSITORY_URL", url)
    monkeypatch.setenv("REPOSITORY_BRANCH", branch)
    options: dict[str, Any] = {}
    config = SimpleNamespace(html_theme_options=options)
    load("repository").point_to_repository(None, config)
    return options


def test_a_book_without_an_address_has_no_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    assert theme_options(monkeypatch, "") == {}


@pytest.mark.parametrize("url", ["https://github.com/someone/fork", "https://github.com/someone/fork.git/"])
def test_a_book_on_github_links_to_its_repository_and_runs_elsewhere(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    options = theme_options(monkeypatch, url)
    assert options["repository_url"] == "https://github.com/someone/fork"
    assert options["repository_branch"] == "main"
    assert {"binderhub_url", "colab_url"} <= set(options["launch_buttons"])


def test_colab_is_offered_for_github_only(monkeypatch: pytest.MonkeyPatch) -> None:
    options = theme_options(monkeypatch, "https://gitlab.com/someone/fork", branch="next")
    assert options["repository_branch"] == "next"
    assert "colab_url" not in options["launch_buttons"]


def test_missing_mathjax_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("local_mathjax")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ExtensionError, match="pip install django-static-mathjax"):
        module.installed_mathjax()


def test_an_equation_is_called_by_its_label() -> None:
    named, numbered = nodes.math_block(label="eq-cross-entropy", number=3), nodes.math_block(label="other", number=4)
    document = nodes.section("", named, numbered)
    known: dict[str, object] = {}
    environment = SimpleNamespace(docname="page", domaindata={"math": {"objects": known}})
    load("named_equations").name_equations(SimpleNamespace(env=environment), document)
    assert (named["number"], numbered["number"]) == ("cross entropy", 4)
    assert known == {"eq-cross-entropy": ("page", "cross entropy")}


def test_an_indented_block_of_a_docstring_is_kept_as_it_stands() -> None:
    lines = ["The equation:", "", "    h = tanh(z)", "", "    z = W x", "", "- a point", "", "  of two paragraphs"]
    marked = list(load("docstrings").mark_literal_blocks(lines))
    assert marked == [*lines[:2], ".. code-block:: text", "", *lines[2:]]


def test_only_tokens_with_a_colour_keep_their_span() -> None:
    context = {"body": '<span class="k">def</span> <span class="n">f</span><span class="p">():</span>'}
    load("plain_tokens").unwrap(None, "page", "page.html", context, None)
    assert context["body"] == '<span class="k">def</span> f():'
