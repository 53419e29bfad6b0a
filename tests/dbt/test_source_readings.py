"""What the parts of a template say is what Jinja makes of it: the source text of a model is kept
without asking the engine. The engine is the oracle."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.source_text import NotPlain, source_text
from dbt_cases import manifest_of, step

PIECES = (
    *("select 1 as n", "\n", "\r\n", "  ", "\n\n", "-- a\n", "/* a */", "'", "{", "}}", "{%"),
    *("{{ ref('raw') }}", "{{- ref('raw') -}}", "{{ this }}", "{{ this -}}", "{{ var('days') }}"),
    *("{{ config(tags='a') }}", "{{ config(tags='a') -}}\n", "{{ var('days') + 1 }}"),
    *("{{ 'a' }}", "{{ target.name }}", "{{ none }}", "{{ ref('raw') ~ '}}' }}"),
    *("{# a #}", "{#- a -#}", "{# {{ ref('raw') }} #}"),
    *(
        "{% if is_incremental() %}",
        "{%- if not is_incremental() -%}",
        "{% if (is_incremental()) %}",
    ),
    *("{% else %}", "{%- else -%}", "{% endif %}", "{%- endif -%}", "{% endif -%}\n"),
)


def shop(folder: Path, kind: str) -> tuple[Renderer, DbtNode]:
    model = step("orders", "model.shop.raw", config={"materialized": kind})
    project = "name: shop\nprofile: shop\nvars: {days: 3}\n"
    manifest = manifest_of(folder, step("raw"), model, project=project)
    placeholders = Placeholders(manifest, NodeNames(manifest), "duckdb")
    return Renderer(manifest, placeholders, {"name": "dev"}), manifest.nodes["model.shop.orders"]


def readings(renderer: Renderer, node: DbtNode) -> tuple[str, str] | None:
    """By its parts; None for a text that is not kept as it is."""
    try:
        found = source_text(node, renderer, Seen())
    except (NotPlain, NotImportable):
        return None
    plain = renderer.placeholders.without_variables
    return plain(found.later), plain(found.full)


@pytest.mark.parametrize("kind", ["incremental", "table", "ephemeral"])
def test_the_parts_say_what_the_engine_makes_of_them(tmp_path: Path, kind: str) -> None:
    renderer, node = shop(tmp_path, kind)
    choose, known, regions = random.Random(20), 0, 0
    for _ in range(700):
        text = "".join(choose.choices(PIECES, k=choose.randint(1, 6)))
        made = node_with(node, text)
        if (found := readings(renderer, made)) is not None:
            known += 1
            regions += found[0] != found[1]
            assert found == renderer.readings(text, made, Seen()), text
    assert known > 100
    assert (regions > 5) is (kind == "incremental")


@pytest.mark.parametrize(
    "condition",
    ["(is_incremental()", "is_incremental())", "not (is_incremental()", "notis_incremental()"],
)
def test_a_condition_that_jinja_refuses_is_not_kept(tmp_path: Path, condition: str) -> None:
    renderer, node = shop(tmp_path, "incremental")
    text = f"select 1 {{% if {condition} %}}, 2 {{% endif %}}"
    assert readings(renderer, node_with(node, text)) is None


def node_with(node: DbtNode, text: str) -> DbtNode:
    return replace(node, raw_code=text)
