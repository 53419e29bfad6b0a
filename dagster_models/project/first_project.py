"""What a first project consists of, whichever tool writes it: `dagster-models init` or `dg`."""

from __future__ import annotations

import re
from string import Template

from dagster_models.core.target_types import DEFAULT

#: Dagster's home, and the module that Dagster loads, in the project's folder.
HOME = ".dagster_home"
DEFINITIONS = "definitions.py"

_PROJECT = Template("""\
name: $name
targets:
  dev: {type: $type, path: target/$name.$type}
models: {materialized: table}
jobs:
  $name: {selection: "*"}
""")


def project_text(name: str) -> str:
    """The text of its dagster_models.yaml."""
    return _PROJECT.substitute(name=name, type=DEFAULT)


def name_for(folder: str) -> str:
    """The name of the project in a folder of this name."""
    return folder if re.fullmatch(r"[A-Za-z_]\w*", folder, re.ASCII) else "my_project"
