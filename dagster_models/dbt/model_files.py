"""The file of a model: its header and its text, or one that waits for a hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.yaml_text import with_docstring, with_header

_STUBS = {
    ".sql": "select null as not_imported\n",
    ".py": "def model(warehouse):\n    raise NotImplementedError\n",
}


def model_file(path: str, header: Mapping[str, Any], text: str) -> str:
    """The file of a model in SQL or Python."""
    if path.endswith(".py"):
        return with_docstring(header, text)
    return with_header("@model", header, text)


def stub(path: str) -> str:
    """Something to read in place of a model that is disabled."""
    return _STUBS[Path(path).suffix]


def disabled_files(node: DbtNode, path: str, why: str) -> dict[str, str | bytes]:
    """A model that waits for a hand, with dbt's text beside it."""
    original = {} if node.is_empty else {f"{path}.dbt": node.raw_code}
    plain = re.sub(r"\{+%?|%?\}+", "", why)  # the load would take it for Jinja
    description = f"Not imported from dbt: {plain}."
    if original:
        description += f" Its text is in {Path(path).name}.dbt."
    header = {"enabled": False, "description": description}
    return {path: model_file(path, header, stub(path)), **original}
