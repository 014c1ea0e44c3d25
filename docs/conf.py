"""How Sphinx builds the documentation: `make docs` writes it to build/docs."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "server"), str(PROJECT / "docs")]

from pbweb import __version__  # noqa: E402

project = "pbweb"
author = "the authors of pbweb"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "extensions.javascript",
    "extensions.vectors",
]
exclude_patterns = ["**/node_modules", "**/.*"]
nitpicky = True
# What stands in a signature and is documented elsewhere, or nowhere that is public.
nitpick_ignore_regex = [
    ("py:class", r"(asyncio|collections|concurrent|contextlib|pathlib)\..*"),
    ("py:class", r"Authenticate|BaseRoute|pbweb\.session\.Session"),
    ("py:class", r"pbweb\.(copyables|live)\._C|pbweb\.trees\.FrozenDict"),
    ("py:class", r"pbweb\.promises\.PromisedStream|pbweb\.exchange\.Ending"),
    ("py:class", r"Params|pbweb\.threads\.Result"),
    ("py:exc", r"asyncio\.CancelledError"),
]
default_role = "code"
show_warning_types = True

myst_enable_extensions = ["fieldlist", "substitution"]
myst_heading_anchors = 4
myst_substitutions = {"version": version}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
napoleon_use_rtype = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"pbweb {version}"
html_static_path = ["_static"]
html_css_files = ["pbweb.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#2456c7",
        "color-brand-content": "#2456c7",
    },
    "dark_css_variables": {
        "color-brand-primary": "#8ab0ff",
        "color-brand-content": "#8ab0ff",
    },
}
