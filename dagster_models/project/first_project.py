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

_LOADED = """\
from pathlib import Path

from dagster import Definitions

from dagster_models import load_project, models_executor{imports}

defs = Definitions.merge(
    load_project(Path(__file__).parent{assets}),
    Definitions(executor=models_executor),  # of runs without a job, too
)
"""


def definitions_text(assets_of: str = "") -> str:
    """The text of its definitions.py, in which "Materialize" runs as the project's jobs do.

    *assets_of*: a module beside it whose list, of the module's name in capitals, has further
    assets.
    """
    if not assets_of:
        return _LOADED.format(imports="", assets="")
    name = assets_of.upper()
    return _LOADED.format(imports=f"\n\nfrom {assets_of} import {name}", assets=f", assets={name}")


def project_text(name: str) -> str:
    """The text of its dagster_models.yaml."""
    return _PROJECT.substitute(name=name, type=DEFAULT)


def name_for(folder: str) -> str:
    """The name of the project in a folder of this name."""
    return folder if re.fullmatch(r"[A-Za-z_]\w*", folder, re.ASCII) else "my_project"
