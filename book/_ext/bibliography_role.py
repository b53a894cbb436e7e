"""Give entries of a bibliography an ARIA role that is allowed inside the list docutils puts around them.

docutils writes `role="doc-biblioentry"` under `role="list"`. The role is deprecated, and a list may only hold list items.
"""

from typing import Any

from sphinx.application import Sphinx


def mend_role(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: object,
) -> None:
    if "body" in context:
        context["body"] = context["body"].replace(
            'role="doc-biblioentry"', 'role="listitem"'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
