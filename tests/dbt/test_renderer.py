"""Rendering with a manifest's macros: lookup, what macros ask of relations, and what is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from jinja2 import Environment
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NeedsWarehouse, NotImportable
from dagster_models.dbt.text.graph import IndexedEntries
from dagster_models.dbt.text.macros import Macros
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.template import environment
from dbt_cases import manifest_of, step

#: Macros by their unique_ids; the project is `shop`.
MACROS = {
    "macro.util._hidden": "{% macro _hidden() %}hidden{% endmacro %}",
    "macro.util.shown": "{% macro shown() %}{{ util._hidden() }}{% endmacro %}",
    "macro.util.name": "{% macro name() %}{{ return(adapter.dispatch('name', 'util')()) }}"
    "{% endmacro %}",
    "macro.util.default__name": "{% macro default__name() %}default{% endmacro %}",
    "macro.util.duckdb__name": "{% macro duckdb__name() %}duckdb{% endmacro %}",
    "macro.shop.shop_only": "{% macro shop_only(x: int = 2) %}{{ x }}{% endmacro %}",
    "macro.shop.is_it": "{% macro is_it(o) %}{{ o is mapping and"
    " o.get('metadata', {}).get('type', '').endswith('Relation') }}{% endmacro %}",
    "macro.shop.endless": "{% macro endless() %}{{ endless() }}{% endmacro %}",
    "macro.shop.of_now": "{% set now = this.identifier %}"
    "{% macro of_now() %}{{ now }}{% endmacro %}",
    "macro.shop.named": "{% macro named() %}{{ this.identifier }}{{ kwargs.x }}{% endmacro %}",
    "macro.dbt.columns": "{% macro columns(o) %}{{ adapter.get_columns_in_relation(o) }}"
    "{% endmacro %}",
}


ORDERS = step(
    "orders",
    config={"materialized": "table"},
    alias="orders_v2",
    relation_name='"dev"."marts"."orders_v2"',
)


def manifest(folder: Path, **values: str) -> Manifest:
    project = "name: shop\nvars: {days: 3}"
    return manifest_of(folder, {**ORDERS, **values}, macros=MACROS, project=project)


def rendered(folder: Path, text: str, **given: object) -> tuple[str, Renderer]:
    renderer = renderer_of(manifest(folder), **given)
    node = renderer.manifest.nodes["model.shop.orders"]
    return renderer.render(text, node, False, Seen()), renderer


def renderer_of(read: Manifest, **given: object) -> Renderer:
    return Renderer(read, Placeholders(read, NodeNames(read), "duckdb"), {}, given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ util.shown() }}", "hidden"),
        ("{{ util.name() }}", "duckdb"),
        ("{{ shop_only() }}{{ shop.shop_only(3) }}", "23"),
        ("{{ is_it(this) }}{{ is_it('x') }}", "TrueFalse"),
        ("{{ this.schema }}.{{ this.identifier }}", "marts.orders_v2"),
        ("{{ this.include(database=false, schema=false).render() == this | string }}", "False"),
        ("{{ range(2) | list }}{{ zip([1], [2]) | list }}", "[0, 1][(1, 2)]"),
        ("{{ modules.datetime.date(2024, 1, 2) }}", "2024-01-02"),
        ("{{ var('days') }}{{ var('no', 'default') }}", "3default"),
        ("{% do config.set('a', 1) %}{{ config.get('materialized') }}", "table"),
    ],
)
def test_what_text_comes_out(tmp_path: Path, text: str, expected: str) -> None:
    assert rendered(tmp_path, text)[0] == expected


def test_variables_of_the_command_line_go_before_the_projects(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ var('days') }}", days=9)[0] == "9"


def test_a_text_changes_a_variable_for_itself_alone(tmp_path: Path) -> None:
    text = "{% do var('kinds').append('mine') %}{{ var('kinds') | join(' ') }}"
    again, renderer = rendered(tmp_path, text, kinds=["new"])
    node, seen = renderer.manifest.nodes["model.shop.orders"], Seen()
    assert again == renderer.render(text, node, True, seen) == "new mine"
    assert seen.variables == {"kinds": ["new"]}


@pytest.mark.parametrize(
    "change",
    [
        "model.config.update({'materialized': 'mine'})",
        "model['config'].update({'materialized': 'mine'})",
        "model.get('config').update({'materialized': 'mine'})",
        "model.update({'config': {'materialized': 'mine'}})",
        "(model.values() | select('mapping') | list)[-1].update({'materialized': 'mine'})",
        "(model.items() | list)[-1][1].update({'materialized': 'mine'})",
        "node.config.update({'materialized': 'mine'})",
    ],
)
def test_a_text_changes_what_its_model_says_for_itself_alone(tmp_path: Path, change: str) -> None:
    last = "{% set _ = model.update({'config': model.pop('config')}) %}"
    text = f"{last}{{% do {change} %}}{{{{ model.config.materialized }}}}"
    again, renderer = rendered(tmp_path, text)
    node = renderer.manifest.nodes["model.shop.orders"]
    assert again == renderer.render(text, node, True, Seen()) == "mine"
    asked = "{{ model.config.materialized }} {{ model.get('config')['materialized'] }}"
    assert renderer.render(asked, node, False, Seen()) == "table table"
    assert node.given["config"]["materialized"] == "table"


@pytest.mark.parametrize(
    "config",
    [
        *("model.pop('config')", "model.popitem()[1]", "model.copy().config"),
        *("dict(model).config", "dict(model, x=1).config", "dict(**model).config"),
    ],
)
def test_a_copy_of_what_its_model_says_is_its_own(tmp_path: Path, config: str) -> None:
    last = "{% set _ = model.update({'config': model.pop('config')}) %}"
    text = f"{last}{{% set c = {config} %}}{{% do c.update({{'x': 'mine'}}) %}}{{{{ c.x }}}}"
    found, renderer = rendered(tmp_path, text)
    assert found == "mine"
    assert "x" not in renderer.manifest.nodes["model.shop.orders"].given["config"]


def test_a_relation_is_dbts_own_where_it_is_no_table(tmp_path: Path) -> None:
    text, renderer = rendered(tmp_path, "select '{{ this }}' from {{ this }}")
    named = renderer.placeholders.named(text).text
    assert named == """select '"dev"."marts"."orders_v2"' from orders"""


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{{ columns(this) }}", NeedsWarehouse, r"adapter\.get_columns_in_relation\(\) asks the"),
        ("{{ ref('nothing') }}", NotImportable, r"ref\('nothing'\) is no model, seed or snapshot"),
        ("{{ source('a', 'b') }}", NotImportable, r"source\('a', 'b'\) is not in the manifest"),
        ("{{ var('none') }}", NotImportable, r"var\('none'\) has no value: give it with --vars"),
        ("{{ env_var('DBT_NO_SUCH') }}", NotImportable, "the variable is not set"),
        ("{{ target.region }}", NotImportable, r"target\.region is not known"),
        ("{{ exceptions.raise_compiler_error('no') }}", NotImportable, "an error of its own: no"),
        ("{{ endless() }}", NotImportable, "call each other without an end"),
        (f"{{{{ {'(' * 300}1{')' * 300} }}}}", NotImportable, "nested too deeply"),
        (f"{{% set x = {'1' * 5000} %}}", NotImportable, "5000 digits"),
        ("{% if %}", NotImportable, "Jinja: Expected an expression"),
        ("{{ ().__class__.__mro__ }}", NotImportable, "unsafe"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, text: str, kind: type[NotImportable], message: str
) -> None:
    with pytest.raises(kind, match=message):
        rendered(tmp_path, text)


def test_a_package_sees_the_macros_of_the_project(tmp_path: Path) -> None:
    renderer = renderer_of(manifest(tmp_path, package_name="util"))
    node = renderer.manifest.nodes["model.shop.orders"]
    assert renderer.render("{{ shown() }}{{ shop_only() }}", node, False, Seen()) == "hidden2"


def test_a_macro_is_looked_for_once_in_each_package_that_has_its_name(tmp_path: Path) -> None:
    macros = {
        f"macro.{it}.default__f": f"{{% macro default__f() %}}{it}{{% endmacro %}}"
        for it in ("one", "two")
    }
    renderer = renderer_of(manifest_of(tmp_path, ORDERS, macros=macros))
    text = "{{ adapter.dispatch('f', 'one')() }}{{ adapter.dispatch('f', 'two')() }}"
    node = renderer.manifest.nodes["model.shop.orders"]
    with mock.patch.object(Macros, "_find", autospec=True, side_effect=Macros._find) as find:
        for _ in range(2):
            assert renderer.render(text, node, False, Seen()) == "onetwo"
    assert find.call_count == 2


@pytest.mark.parametrize(
    "text",
    [
        "{% if is_incremental() %}later{% else %}full{% endif %}",
        "{{ asks() }}",
        "{{ dbt.is_incremental() }}",
        "{% set asked = is_incremental %}{{ asked() }}",
        "{{ context['is_incremental']() }}",
        "{{ builtins.ref('orders') }}",
    ],
)
def test_both_readings_are_what_each_rendering_alone_gives(tmp_path: Path, text: str) -> None:
    asks = {"macro.shop.asks": "{% macro asks() %}{{ is_incremental() }}{% endmacro %}"}
    orders = {**ORDERS, "config": {"materialized": "incremental"}}
    renderer = renderer_of(manifest_of(tmp_path, orders, macros={**MACROS, **asks}))
    node = renderer.manifest.nodes["model.shop.orders"]
    alone = [renderer.render(text, node, it, Seen()) for it in (True, False)]
    assert [*renderer.readings(text, node, Seen())] == alone
    assert (alone[0] != alone[1]) == ("is_incremental" in text or "asks" in text)


class _HasName:
    name, kind = "a", 2


ROWS = [
    {"name": "a", "kind": 1, "items": 3},
    {"name": None, "m": {"name": "a"}},
    {"name": "A", "kind": 1},
    _HasName(),
    ["a", "b"],
]


def outcome(of: Environment, text: str) -> str:
    """The text, or the error that a row without the attribute is."""
    try:
        return of.from_string(text).render(rows=ROWS)
    except UndefinedError as error:
        return str(error)


@pytest.mark.parametrize("filter_", ["selectattr", "rejectattr"])
@pytest.mark.parametrize("name", ["name", "kind", "m.name", "0", "items", "__class__"])
@pytest.mark.parametrize("test", ["equalto", "ne", "=="])
@pytest.mark.parametrize("value", ["'a'", "none", "1", "unknown"])
def test_rows_are_selected_as_jinja_selects_them(
    filter_: str, name: str, test: str, value: str
) -> None:
    text = f"{{{{ rows | {filter_}('{name}', '{test}', {value}) | map('string') | list }}}}"
    ours, stock = (outcome(it, text) for it in (environment(), SandboxedEnvironment()))
    assert ours == stock


@pytest.mark.parametrize("name", ["name", "items", "missing", "__class__", "_hidden"])
def test_a_part_of_a_value_is_what_jinja_finds(name: str) -> None:
    values = {"name": "a", "items": 3, "_hidden": 4, "__class__": 5}
    text = f"{{{{ of.{name} is callable }}}} {{{{ of.{name} is defined and of.{name} == 5 }}}}"
    ours, stock = environment(), SandboxedEnvironment()
    assert ours.from_string(text).render(of=values) == stock.from_string(text).render(of=values)


def test_a_function_that_jinja_may_not_call_is_refused() -> None:
    def drop() -> str:
        return "dropped"

    drop.unsafe_callable = True  # type: ignore[attr-defined]
    with pytest.raises(SecurityError):
        environment().from_string("{{ drop() }}").render(drop=drop)


CLOCK = "modules.datetime"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("datetime.now().strftime('%Y')", "datetime.now()"),
        ("datetime.today().date()", "datetime.now()"),
        ("datetime.now(modules.pytz.utc)", "datetime.now()"),
        ("datetime.now(tz=modules.pytz.timezone('Europe/Berlin'))", "datetime.now()"),
        ("datetime.utcnow()", "datetime.utcnow()"),
        ("date.today()", "date.today()"),
    ],
)
def test_the_moment_that_a_text_gets_of_the_clock_is_noted(
    tmp_path: Path, asked: str, kept: str
) -> None:
    """Both readings of a model get the same, and the clock's own is not far."""
    text = f"{{% if is_incremental() %}}{{% endif %}}{{{{ {CLOCK}.{asked} }}}}"
    model = step("a", raw_code=text, config={"materialized": "incremental"})
    renderer, seen = renderer_of(manifest_of(tmp_path, model)), Seen()
    later, full = renderer.readings(text, renderer.manifest.nodes[model["unique_id"]], seen)
    assert later == full
    assert set(seen.frozen) == {f"{CLOCK}.{kept}"}
    assert abs(dt.datetime.now(dt.timezone.utc) - seen.moment) < dt.timedelta(hours=1)
    assert full[:4] in {str(seen.moment.year + it) for it in (-1, 0, 1)}


def test_other_functions_of_modules_datetime_are_pythons(tmp_path: Path) -> None:
    text = (
        f"{{{{ {CLOCK}.datetime.strptime('2024-02-03', '%Y-%m-%d') + {CLOCK}.timedelta(days=1) }}}}"
        f" {{{{ {CLOCK}.date(2024, 2, 3).isoformat() }}}} {{{{ {CLOCK}.date.min }}}}"
    )
    model, seen = step("a", raw_code=text), Seen()
    renderer = renderer_of(manifest_of(tmp_path, model))
    found = renderer.render(text, renderer.manifest.nodes[model["unique_id"]], False, seen)
    assert (found, seen.frozen) == ("2024-02-04 00:00:00 2024-02-03 0001-01-01", {})


def test_the_graph_is_searched_as_jinja_searches_any_list(tmp_path: Path) -> None:
    steps = [step(name, tags=["a"]) for name in ("one", "two")]
    read = manifest_of(tmp_path, *steps, step("one", kind="seed"))
    renderer, node = renderer_of(read), read.nodes["model.shop.one"]
    nodes = [*read.given["nodes"].values()]
    for chain in (
        "selectattr('resource_type', 'equalto', 'model') | selectattr('name', '==', 'one')",
        "selectattr('name', 'eq', 'one') | rejectattr('resource_type', 'equalto', 'seed')",
        "selectattr('tags', 'equalto', ['a']) | selectattr('name', 'ne', none)",
        "selectattr('nothing', 'equalto', 'model')",
        "selectattr('config.materialized', 'equalto', 'seed')",
        "selectattr('resource_type', 'equalto', 'model') | selectattr('name')",
    ):
        text = f"{{% set found = nodes | {chain} %}}"
        text += "{{ found | map(attribute='unique_id') | join(' ') }}, then {{ found | list }}"
        plain = environment().from_string(text).render(nodes=[*nodes])
        ours = text.replace("nodes |", "graph.nodes.values() |")
        assert renderer.render(ours, node, False, Seen()) == plain
        assert plain.endswith(", then []")  # such a list is read once


def test_searches_of_the_graph_look_at_each_node_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = manifest_of(tmp_path, *(step(f"m{at}") for at in range(50)))
    renderer, lengths = renderer_of(read), list[int]()

    def counted(self: IndexedEntries) -> Iterator[object]:
        lengths.append(len(self))
        return list.__iter__(self)

    monkeypatch.setattr(IndexedEntries, "__iter__", counted)
    text = "{{ graph.nodes.values() | selectattr('name', 'equalto', 'm%s') | list | length }}"
    for at in range(3):
        assert renderer.render(text % at, read.nodes["model.shop.m0"], False, Seen()) == "1"
    assert lengths.count(50) == 1


def test_a_macro_finds_what_its_caller_has_also_in_a_later_text(tmp_path: Path) -> None:
    """Its module is made once, unless the text has more than macros."""
    read = manifest_of(tmp_path, ORDERS, step("customers"), macros=MACROS)
    renderer, texts = renderer_of(read), list[str]()
    for name in ("orders", "customers", "orders"):
        node = read.nodes[f"model.shop.{name}"]
        texts.append(renderer.render("{{ named(x=1) }} {{ of_now() }}", node, False, Seen()))

    assert texts == ["orders_v21 orders_v2", "customers1 customers", "orders_v21 orders_v2"]
