"""Sphinx's settings: `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

import sys
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "fer_jax"
author = "the fer_jax authors"
release = version = metadata.version("fer-jax")
project_copyright = f"{author}, Apache-2.0"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "generated_pages",
    "markdown_docstrings",
    "option_tables",
]
exclude_patterns = ["_build", "_ext"]

# Notebooks are committed without outputs, and run when they have changed since the last build.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # Seconds a cell.
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
smartquotes = False  # They would turn the dashes of --data into one.

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# Napoleon takes the words before a colon in a field's docstring for a type, and looks them up.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "fer_jax"
