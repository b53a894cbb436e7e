"""Typeset mathematics with files of our own, so that a page asks no other host for anything.

The package `django-static-mathjax` holds an unmodified MathJax; only the files that a page can ask for are copied.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PARTS = (
    "tex-mml-chtml.js",
    "output/chtml/fonts/woff-v2/*",
    "input/tex/extensions/*",  # loaded on demand: \boldsymbol, \cancel, \color, ...
    "a11y/*",  # the explorer in the formulas' context menu, for readers who listen to them
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)


def installed_mathjax() -> Path:
    package = find_spec("mathjax")
    root = Path(package.origin).parent if package and package.origin else Path()
    files = root / "static" / "mathjax" / "es5"
    if not (files / PARTS[0]).is_file():
        raise ExtensionError(
            "MathJax is missing: pip install django-static-mathjax, or `make book`, which does so"
        )
    return files


def copy_mathjax(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    source, target = installed_mathjax(), Path(app.outdir) / "_static" / "mathjax"
    for pattern in PARTS:
        for file in source.glob(pattern):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    app.config.mathjax_path = "mathjax/tex-mml-chtml.js"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
