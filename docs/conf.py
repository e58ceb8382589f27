"""Sphinx settings. ``make docs`` builds the site with every warning an error."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from airflow_provider import __version__

# Autodoc imports Airflow, which would write its settings into the home directory.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

project = "MediaMagic and Silent Witness for Airflow"
copyright = "the authors, Apache License 2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"{project} {release}"
html_show_sourcelink = False

# Parameters are described in the docstrings, with unit and default.
autodoc_typehints = "none"
autodoc_default_options = {"members": False, "undoc-members": False}
