"""A macro without arguments runs once for texts in which it asks the same and is answered the same.

What each text gets is compared with what a renderer makes of it that repeats nothing.
"""

from __future__ import annotations

import pytest

from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.repeated import Recording
from dbt_cases import manifest_of, step

#: Macros that may be run once. Each calls log() when it runs.
_SAME = {
    "plain": "{{ log('x') }}text",
    "settings": "{% set s = namespace() %}{% do log('x') %}"
    "{% set s.days = var('days', 1) %}{% set s.list = [1, {'a': (none, 'b')}] %}"
    "{% set s.name = inner() ~ target.name %}{{ return(s) }}",
    "inner": "{{ return('inner of ' ~ target.get('schema', 'none')) }}",
    "by_context": "{% do log('x') %}{% if context.get('shop_vars') is not none %}"
    "{{ return(context['shop_vars']()) }}{% endif %}{{ 'x' if 'nobody' in context else 'y' }}",
    "shop_vars": "{{ return({'kind': 'mapping', 'list': [1]}) }}",
    "asks_twice": "{% do log('x') %}{{ var('one', 1) }}{{ var('one', true) }}{{ var('one', 1.0) }}",
    "by_name": "{% do log('x') %}{{ var('days', default=2) }}",
}
#: Macros that have to run each time.
_OTHER = {
    "of_this": "{{ this.identifier }}",
    "of_model": "{{ model.name }}",
    "of_graph": "{{ graph.nodes | length }}{% do graph.nodes.update({'x' ~ this: 1}) %}",
    "of_config": "{{ config.get('alias') }}",
    "of_builtins": "{{ builtins.ref('items').identifier }}",
    "by_reference": "{{ ref('items') }}",
    "by_incremental": "{{ is_incremental() }}{{ dbt.is_incremental() }}",
    "asks": "{{ is_incremental() }}",
    "by_adapter": "{{ adapter.quote('x') }}{{ adapter.dispatch('plain')() }}",
    "by_list": "{% do var('kinds').append(this.identifier) %}{{ var('kinds') }}",
    "returns_list": "{{ return(var('kinds')) }}",
    "one_twice": "{% set a = [] %}{{ return([a, a]) }}",
    "by_names": "{{ context.keys() | list | length }}{{ 'mine' in context.keys() }}",
    "by_clock": "{{ run_started_at }}",
    "by_environment": "{{ env_var('SHOP_PLACE', 'nowhere') }}",
    "of_tags": "{{ config.get('tags') | join }}",
    "writes_mine": "{% do context.update({'mine': 'of the macro'}) %}",
    "by_loop": "{% for it in context %}{{ it if it == 'mine' }}{% endfor %}",
    "how_many": "{{ context.keys() | list | length }}",
    "updates": "{% do context.update({'mine': this.identifier}) %}",
    "reads_mine": "{{ mine }}{{ context.get('mine', 'none') }}",
    "writes_shared": "{% do selected_resources.append(1) %}{{ selected_resources | length }}",
    "of_file": "{{ seen_so_far.append(1) or (seen_so_far | length) }}",
    "raises": "{{ exceptions.raise_compiler_error(this.identifier) }}",
    "returns_target": "{{ return(target) }}",
    "returns_context": "{{ return(context) }}",
}
_MACROS = {
    f"macro.shop.{name}": f"{{% macro {name}() %}}{body}{{% endmacro %}}"
    for name, body in {**_SAME, **_OTHER}.items()
} | {
    "macro.shop.of_file": "{% set seen_so_far = [] %}"
    f"{{% macro of_file() %}}{_OTHER['of_file']}{{% endmacro %}}",
    "macro.dbt.is_incremental": "{% macro is_incremental() %}{% endmacro %}",
    "macro.shop.calls_around": "{% macro calls_around(more) %}"
    "{% if more %}{{ called_within() }}{% for _ in [1] %}{{ target.schema }}{% endfor %}{% endif %}"
    "{% endmacro %}",
    "macro.shop.called_within": "{% macro called_within() %}{{ calls_around(0) }}{% endmacro %}",
    "macro.shop.counts": "{% macro counts(more) %}{{ inner() ~ more }}{% endmacro %}",
}
_PROJECT = "name: shop\nvars: {days: 3, items_days: 7, kinds: [new]}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    nodes = [
        step(
            name,
            alias=f"{name}_v2",
            config={"materialized": "incremental", "alias": name, "tags": ["one"]},
        )
        for name in ("orders", "items")
    ]
    folder = tmp_path_factory.mktemp("shop")
    return manifest_of(folder, *nodes, macros=_MACROS, project=_PROJECT)


def _renderer(of: Manifest, **target: str) -> Renderer:
    values = {"name": "dev", "schema": "marts", **target}
    placeholders = Placeholders(of, NodeNames(of), "duckdb")
    for name in of.nodes:  # the same numbers for all renderers
        placeholders.word(name)
    return Renderer(of, placeholders, values)


def _results(renderer: Renderer, text: str, of: str) -> list[object]:
    """What both readings of a text are, and what they have noted."""
    found: list[object] = []
    for incremental in (False, True):
        seen = Seen()
        try:
            found.append(renderer.render(text, renderer.manifest.nodes[of], incremental, seen))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
        found += [seen.frozen, seen.variables]
    return found


_TEXTS = [
    *(f"{{{{ {name}() }}}}" for name in {**_SAME, **_OTHER} if not name.startswith("returns")),
    "{{ settings().name }}{{ settings().days }}{{ settings().list }}",
    "{{ returns_list() }}{% do returns_list().append(this.identifier) %}{{ var('kinds') }}",
    "{% set them = one_twice() %}{% do them[0].append(this.identifier) %}{{ them }}",
    "{% do settings().list.append(this) %}{% do settings().list[1].update({'c': 1}) %}"
    "{{ settings().list }}",
    "{% do context.update({'mine': this.identifier, 'nobody': 1}) %}{{ reads_mine() }}"
    "{{ by_context() }}",
    "{{ updates() }}{{ reads_mine() }}",
    "{{ of_file() }}{{ of_file() }}",
    "{{ by_list() }}{{ by_list() }}",
    "{{ of_tags() }}{% do config.get('tags').append('new') %}{{ of_tags() }}",
    "{{ how_many() }}{% do context.update({'mine': 1}) %}{{ how_many() }}",
    "{{ by_loop() }}{% do context.update({'mine': 1}) %}{{ by_loop() }}",
    "{{ writes_mine() }}{{ reads_mine() }}",
    "{{ counts(settings().name) }}{{ plain() }}{{ plain() }}",
    "{{ returns_target().name }}{{ returns_context().get('mine') }}{{ returns_context().this }}",
]


def test_each_text_gets_what_it_gets_otherwise(
    shop: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = _renderer(shop)
    texts = [it for it in _TEXTS if "shared" not in it and "graph" not in it]
    cases = [(text, of) for text in texts for of in ("model.shop.orders", "model.shop.items")]
    with monkeypatch.context() as patched:
        patched.setattr(Recording, "of", lambda *_: None)
        other = _renderer(shop)
        otherwise = {case: _results(other, *case) for case in cases}
    for case in (*cases, *reversed(cases)):
        assert _results(renderer, *case) == otherwise[case], case


@pytest.mark.parametrize("name", ["writes_shared", "of_graph"])
def test_what_a_macro_changes_for_all_texts_is_changed_each_time(shop: Manifest, name: str) -> None:
    renderer = _renderer(shop)
    text = f"{{{{ {name}() }}}}"
    first, second = (
        renderer.render(text, renderer.manifest.nodes[of], False, Seen())
        for of in ("model.shop.orders", "model.shop.items")
    )
    assert int(second) > int(first)


@pytest.mark.parametrize("name", [it for it in _SAME if "log" in _SAME[it]])
def test_it_runs_once_for_all_texts(shop: Manifest, name: str) -> None:
    renderer, ran = _renderer(shop), list[object]()
    renderer.static["log"] = lambda *_, **__: ran.append(1) or ""
    for of in ("model.shop.orders", "model.shop.items"):
        _results(renderer, f"{{{{ {name}() }}}}", of)
    assert len(ran) == 1


def test_the_macros_that_it_has_called_are_noted_each_time(shop: Manifest) -> None:
    renderer = _renderer(shop)
    for of in ("model.shop.orders", "model.shop.items"):
        renderer.macros.called.clear()
        renderer.render("{{ settings().name }}", shop.nodes[of], False, Seen())
        assert renderer.macros.called == {"macro.shop.settings", "macro.shop.inner"}


def test_what_is_asked_after_the_call_is_not_noted_for_the_next_text(shop: Manifest) -> None:
    """Also if the macro has called its caller, which goes on in the same module."""
    renderer, seen = _renderer(shop), Seen()
    renderer.render("{{ calls_around(1) }}", shop.nodes["model.shop.orders"], False, Seen())
    renderer.render("{{ called_within() }}", shop.nodes["model.shop.items"], False, seen)
    assert seen.frozen == {}


def test_both_readings_are_rendered_each_time_that_a_macro_asks_for_them(shop: Manifest) -> None:
    renderer, seen = _renderer(shop), Seen()
    node = shop.nodes["model.shop.orders"]
    for _ in range(2):
        text = "{{ asks() }}"
        assert renderer.readings(text, node, seen) == ("True", "False")


def test_another_answer_runs_it_again(shop: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, ran = _renderer(shop), list[object]()
    renderer.static["log"] = lambda *_, **__: ran.append(1) or ""
    node = shop.nodes["model.shop.orders"]
    text = "{{ settings().name }}{{ settings().days }}"
    assert renderer.render(text, node, False, Seen()) == "inner of martsdev3"
    monkeypatch.setitem(renderer.target, "schema", "raw")
    assert renderer.render(text, node, True, Seen()) == "inner of rawdev3"
    monkeypatch.setitem(renderer.given, "days", True)  # which is 1 to Python
    assert renderer.render(text, node, False, Seen()) == "inner of rawdevTrue"
    monkeypatch.setitem(renderer.given, "days", 1)
    assert renderer.render(text, node, True, Seen()) == "inner of rawdev1"
    assert len(ran) == 4
