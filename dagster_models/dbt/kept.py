"""The models that stay templates (`--keep-jinja`), as kept_templates.py finds them. Few imports
keep any, so the others do without the modules behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dagster_models.dbt.text.model_text import ModelText

#: How the reason begins for which a selected model is none.
NO_TEMPLATE = "it cannot stay a template: "


@dataclass(frozen=True, slots=True)
class KeptTemplates:
    """``texts`` by the unique_ids of the models; ``refused``: why a selected model is none;
    ``files``: those of the macros, by path; ``dispatch`` as in ``jinja:`` of our project."""

    texts: Mapping[str, ModelText] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    dispatch: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
