"""A "try it" button on each lesson, where `docs/browser.py` has brought Python for the browser."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

BAR = """
<div class="try-it">
<button type="button" class="try-begin btn btn-primary btn-sm">Try it here</button>
<button type="button" class="try-all btn btn-primary btn-sm" hidden>Run all cells</button>
<button type="button" class="try-stop btn btn-outline-danger btn-sm" hidden>Stop</button>
<span class="try-status" role="status">Change the code and run it on this page: nothing to install,
nothing leaves your machine.</span>
</div>
"""


def add_button(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Below the title of a lesson's page."""
    if not page.startswith("lessons/plot_") or "body" not in context:
        return
    app.add_js_file("try.js", loading_method="defer")
    before, title, after = context["body"].partition("</h1>")
    context["body"] = before + title + BAR + after


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    if (Path(app.confdir) / "_browser" / "browser" / "packages.json").is_file():
        app.connect("html-page-context", add_button)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
