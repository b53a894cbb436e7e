"""Leave names, operators, punctuation and blanks in code without a `<span>` each.

No colour is given to them (book/_static/code.css), and they are half of all elements of a chapter's page.
"""

import re
from typing import Any

from sphinx.application import Sphinx

UNCOLOURED = re.compile(r'<span class="(?:n|o|p|w)">([^<]*)</span>')


def unwrap(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: object,
) -> None:
    if "body" in context:
        context["body"] = UNCOLOURED.sub(r"\1", context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", unwrap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
