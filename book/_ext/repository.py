"""Links to the repository and buttons that run a chapter elsewhere, for a book built with REPOSITORY_URL set.

The address is known where the book is published, not here: a fork's book then points at the fork, and a book built
without it has no such buttons. REPOSITORY_BRANCH defaults to main.
"""

import os

from sphinx.application import Sphinx
from sphinx.config import Config


def point_to_repository(app: Sphinx, config: Config) -> None:
    url = os.environ.get("REPOSITORY_URL", "").strip().rstrip("/")
    if not url:
        return
    url = url.removesuffix(".git")
    branch = os.environ.get("REPOSITORY_BRANCH", "").strip()
    config.html_theme_options |= {
        "repository_url": url,
        "repository_branch": branch or "main",
        "path_to_docs": "",  # page names already start with book/
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": launch_buttons(url),
    }


def launch_buttons(url: str) -> dict[str, str]:
    buttons = {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
    }
    if "github.com" in url:  # Colab opens notebooks from nowhere else
        buttons["colab_url"] = "https://colab.research.google.com"
    return buttons


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", point_to_repository)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
