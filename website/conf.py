"""Sphinx's settings. Nothing is fetched when the site is built or looked at: no fonts, no scripts of others."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from procession._version import __version__  # noqa: E402

project = "procession"
author = "the procession authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton", "website.repository", "website.reference"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block", "deflist"]
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88
maximum_signature_line_length = 88
python_display_short_literal_types = True
highlight_language = "text"
smartquotes = False

html_theme = "furo"
html_title = f"procession {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/mark.svg"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "light_css_variables": {"color-brand-primary": "#0b6b53", "color-brand-content": "#0b6b53"},
    "dark_css_variables": {"color-brand-primary": "#5fd0ae", "color-brand-content": "#5fd0ae"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
copybutton_prompt_text = r"^\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
