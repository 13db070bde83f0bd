"""Sphinx's settings for the site; `bash ci/docs.sh` builds it, with warnings as errors."""

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

import xpnn  # noqa: E402

project = "xpnn"
copyright = "the xpnn developers"
version = release = xpnn.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "tables",
    "try_it",
]
exclude_patterns = ["_build", "_browser", "gallery"]
nitpicky = False
default_role = "literal"  # a name between single quotes of a docstring
highlight_language = "none"  # a block without a language is a command or a drawing
suppress_warnings = ["config.cache"]  # the order of lessons is a function

# ---- Pages in Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# ---- The reference, from docstrings
templates_path = ["_templates"]
autosummary_generate = True
autodoc_preserve_defaults = True  # as written, not as the building machine prints them
autodoc_typehints = "none"  # numpydoc's Parameters have the types, in words
numpydoc_show_class_members = False  # our template lists them
numpydoc_xref_param_type = False
toc_object_entries_show_parents = "hide"  # "fit()": the page says of what

# ---- The lessons: every script is run
sphinx_gallery_conf: dict[str, Any] = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["lessons"],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
    "doc_module": ("xpnn",),
    "reference_url": {"xpnn": None},
    "backreferences_dir": "api/examples",
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 10_000,
    "write_computation_times": False,
    "thumbnail_size": (560, 400),
    "remove_config_comments": True,
}

# ---- How it looks. Nothing is loaded from elsewhere: the built folder is read offline.
html_theme = "pydata_sphinx_theme"
html_title = "xpnn"
html_favicon = "_static/xpnn.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_extra_path = [name for name in ("_browser",) if (HERE / name).is_dir()]
html_theme_options = {
    "logo": {"text": "xpnn"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
alone = ("index", "start", "from_scikit_learn", "from_boosting", "from_pytorch", "benchmarks")
html_sidebars = {page: [] for page in (*alone, "lessons/plot_*")}  # code needs the width

os.environ.setdefault("MPLBACKEND", "agg")
