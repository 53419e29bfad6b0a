"""The SQL of each model, in the order of what a reader would want: his own text, then one that is
rendered here, then what dbt has compiled, and else none, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dagster_models.dbt.project.manifest import EMPTY_FILE, DbtNode
from dagster_models.dbt.text.compiled import compiled_text
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.python_text import python_text
from dagster_models.dbt.text.regions import reads_as, with_regions, with_since
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.source_text import NotPlain, source_text, with_variable_placeholders
from dagster_models.errors import SqlSyntaxError


class Way(Enum):
    TEMPLATE = "kept as a template"
    SOURCE = "the source text"
    RENDERED = "rendered here"
    COMPILED = "as dbt compiled it"
    NONE = "not imported"


@dataclass(frozen=True, slots=True)
class ModelText:
    """``sql`` is dbt's own text with Jinja where the way is NONE. ``why``: what kept an earlier way
    from being taken. ``frozen``: what it was given that may be another tomorrow. ``reads_itself``:
    also in a build in full, or in a model that is not incremental."""

    sql: str
    way: Way
    why: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    reads_itself: bool = False


def model_text(node: DbtNode, renderer: Renderer) -> ModelText:
    """The text of a model or snapshot, by the first way that there is."""
    if node.is_empty:
        return ModelText("", Way.NONE, EMPTY_FILE)
    if node.language == "python":
        return _python(node, renderer)
    reasons: list[str] = []
    for way in (_source, _rendered, _compiled):
        try:
            return way(node, renderer, "; ".join(reasons))
        except NotPlain as error:
            reasons.append(f"{error} computes")
        except (NotImportable, SqlSyntaxError) as error:
            if str(error) not in reasons:
                reasons.append(str(error))
    return ModelText(node.raw_code, Way.NONE, "; ".join(reasons))


def _python(node: DbtNode, renderer: Renderer) -> ModelText:
    try:
        return ModelText(python_text(node, renderer), Way.SOURCE)
    except (NotImportable, SqlSyntaxError) as error:
        return ModelText(node.raw_code, Way.NONE, str(error))


def _source(node: DbtNode, renderer: Renderer, why: str) -> ModelText:
    seen = Seen()
    text, later, full = source_text(node, renderer, seen)
    if renderer.overridden:  # the project's own `ref` and its like may ask anything
        later, full = renderer.readings(node.raw_code, node, Seen())
    plain, later, full = map(renderer.placeholders.without_variables, (text, later, full))
    if not reads_as(plain, later, full, renderer.placeholders.dialect):
        raise NotPlain("Jinja within a comment or a literal")
    return _finished(node, renderer, text, Way.SOURCE, why, seen)


def _rendered(node: DbtNode, renderer: Renderer, why: str) -> ModelText:
    seen, template = Seen(), with_variable_placeholders(node, renderer)
    later, full = renderer.readings(template, node, seen)
    text = with_regions(later, full, renderer.placeholders.dialect)
    if text is None:
        raise NotImportable("no text has both sides of is_incremental()")
    return _finished(node, renderer, text, Way.RENDERED, why, seen)


def _compiled(node: DbtNode, renderer: Renderer, why: str) -> ModelText:
    text = compiled_text(node, renderer.placeholders)
    return _finished(node, renderer, text, Way.COMPILED, why, Seen())


def _finished(
    node: DbtNode, renderer: Renderer, text: str, way: Way, why: str, seen: Seen
) -> ModelText:
    placeholders, since = renderer.placeholders, None
    text = placeholders.with_written_relations(text)
    own = placeholders.word(node.unique_id)
    if node.materialized == "incremental":
        text, since = with_since(text, own)
    reads_itself = node.materialized not in ("incremental", "snapshot") and own in text
    named = placeholders.filled(text)
    return ModelText(
        named.text.strip("\n").rstrip() + "\n",
        way,
        why,
        named.variables,
        {**seen.frozen, **{f"var({name!r})": str(it) for name, it in named.frozen.items()}},
        since,
        reads_itself,
    )
