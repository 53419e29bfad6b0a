"""Templates of models_jinja/: what comes out, what it rests on, and where what is wrong is said."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key
from dagster_models.dbt.templates import renderer as rendering
from dagster_models.dbt.templates.marks import lines_of_both, marked_template, without_marks
from dagster_models.dbt.text.template import parsed
from dagster_models.errors import BrokenFile, ProjectError
from dagster_models.project.variables import GivenText
from project_cases import make, upstream
from template_cases import SETTINGS, compiled, jinja_project, load_jinja


def project_of(root: Path, template: str, **files: str) -> Any:
    """A project whose model main.m is this template; *files* are by path."""
    every = {"models_jinja/main/m.sql": template, **files}
    return load_jinja(jinja_project(root, every))


def text_of(root: Path, template: str, **files: str) -> str:
    return compiled(project_of(root, template, **files), "m").strip()


def error_of(root: Path, template: str, **files: str) -> str:
    with pytest.raises(ProjectError) as caught:
        project_of(root, template, **files)
    return str(caught.value).replace("models_jinja/main/m.sql", "m")


# --- what comes out --------------------------------------------------------------------------


def test_a_template_is_a_model_like_any_other(tmp_path: Path) -> None:
    project = load_jinja(jinja_project(tmp_path))
    step = project.steps[Key("main", "grows")]
    assert step.location.path == "models_jinja/main/grows.sql"
    assert (step.kind, step.built_as) == ("sql", "incremental")
    assert step.config.unique_key == ("id",)
    assert upstream(project, "main.loops_over_refs") == ["main.stg_orders", "main.stg_refunds"]
    assert [column.name for column in step.trace.columns] == ["id", "kind", "moment"]
    assert step.trace.columns[0].sources == ((("main", "stg_orders"), "id"),)
    assert upstream(project, "main.both_sides") == ["main.grows"]


def test_a_template_may_read_a_template_in_any_order(tmp_path: Path) -> None:
    files = {"models_jinja/main/a.sql": "select * from {{ ref('z') }}"}
    files["models_jinja/main/z.sql"] = "select * from {{ ref('stg_orders') }}"
    project = load_jinja(jinja_project(tmp_path, files))
    assert upstream(project, "main.a") == ["main.z"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select '{{ ref('stg_orders') }}' as x", """select '"main"."stg_orders"' as x"""),
        ("select '{{ ref('stg_orders').schema }}' as x", "select 'main' as x"),
        ("select '{{ this.identifier }}{{ model.name }}' as x", "select 'mm' as x"),
        ("select {{ var('none', 5) }} as x", "select 5 as x"),
        ("select {{ 1 if var.has_var('days') else 0 }} as x", "select 1 as x"),
        ("select '{{ env_var('NONE', 'here') }}' as x", "select 'here' as x"),
        ("select '{{ project_name }}' as x", "select 'shop' as x"),
        ("{{ config(my_own=4) }}select {{ config.get('my_own') }} as x", "select 4 as x"),
        ("select {{ config.get('my_own') }} as x{{ config(my_own=4) }}", "select 4 as x"),
        ("/* @model meta: {x: 4} */ select {{ config.meta_get('x') }} as x", "select 4 as x"),
        ("select '{{ config.get('schema') }}' as x", "select 'None' as x"),
        ("select {{ fromjson('[1, 2]')[1] }} as x", "select 2 as x"),
        ("{% if execute %}select 1 as x{% endif %}", "select 1 as x"),
        ("{# {% macro x() %} {% snapshot %} #}select 1 as x", "select 1 as x"),
    ],
)
def test_what_text_comes_out(tmp_path: Path, text: str, expected: str) -> None:
    assert text_of(tmp_path, text).endswith(expected)


def test_a_bare_name_that_a_cte_bears_is_qualified(tmp_path: Path) -> None:
    text = "with stg_orders as (select 1 as id), o as (select id from {{ ref('stg_orders') }})"
    sent = text_of(tmp_path, f"{text} select o.id from o join stg_orders using (id)")
    assert 'from "main"."stg_orders")' in sent


def test_a_project_may_have_a_ref_of_its_own(tmp_path: Path) -> None:
    own = "{% macro ref(a, b=none) %}{{ return(builtins.ref(a, b) if b else builtins.ref(a)) }}"
    files = {"macros_jinja/own.sql": own + "{% endmacro %}"}
    project = project_of(tmp_path, "select id from {{ ref('stg_orders') }}", **files)
    assert upstream(project, "main.m") == ["main.stg_orders"]


def test_a_version_is_a_file_with_its_number(tmp_path: Path) -> None:
    files = {f"models/main/paid_v{n}.sql": f"select {n} as x" for n in (2, 10)}
    text = "select * from {{ ref('paid') }} union all select * from {{ ref('paid', v=2) }}"
    project = project_of(tmp_path, text, **files)
    assert upstream(project, "main.m") == ["main.paid_v10", "main.paid_v2"]


def test_config_within_is_incremental_is_that_of_the_first_build(tmp_path: Path) -> None:
    """As dbt parses a model before it knows what is there."""
    text = (
        "{{ config(materialized='incremental', tags=['later' if is_incremental() else 'first']) }}"
        "select 1 as id"
    )
    assert project_of(tmp_path, text).steps[Key("main", "m")].config.tags == ("first",)


def test_a_source_may_have_the_name_of_a_model(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, tables: [{name: stg_orders}]}]\n"
    text = "select a.id from {{ ref('stg_orders') }} as a, {{ source('raw', 'stg_orders') }} as b"
    project = project_of(tmp_path, text, **{"models/sources.yaml": sources})
    assert set(upstream(project, "main.m")) == {"main.stg_orders", "raw.stg_orders"}
    assert upstream(project, "main.grows") == ["main.stg_orders"]


def test_a_template_changes_variables_and_settings_for_itself_alone(tmp_path: Path) -> None:
    text = (
        "{% do var('kinds').append('mine') %}{% do config.get('tags', []).append('lost') %}"
        "{{ config(materialized='incremental', unique_key='id') }}"
        "select 1 as id, '{{ var('kinds') | join }}{{ config.get('tags') | join }}' as kinds"
    )
    settings = SETTINGS + "models: {tags: [a]}\n"
    files = {
        "dagster_models.yaml": settings,
        "models_jinja/main/after.sql": "select '{{ var('kinds') | join }}' as kinds",
    }
    project = project_of(tmp_path, text, **files)
    for full in (False, True):
        assert "'newpaidminea' as kinds" in compiled(project, "m", full=full)
    assert compiled(project, "after") == "select 'newpaid' as kinds"


def test_a_schema_tells_two_models_of_one_name_apart(tmp_path: Path) -> None:
    files = {f"models/{schema}/two.sql": "select 2 as id" for schema in ("one", "other")}
    project = project_of(tmp_path, "select id from {{ ref('other', 'two') }}", **files)
    assert upstream(project, "main.m") == ["other.two"]


def test_the_header_goes_before_config_and_config_before_the_folder(tmp_path: Path) -> None:
    settings = SETTINGS + "models: {main: {m: {materialized: table, tags: [a], group: folder}}}\n"
    text = (
        "/* @model {materialized: incremental, tags: [b]} */\n"
        "{{ config(materialized='view', group='own', tags=['c'], unique_key='id') }}\n"
        "select 1 as id{% if is_incremental() %}, 2 as later{% endif %}"
    )
    step = project_of(tmp_path, text, **{"dagster_models.yaml": settings}).steps[Key("main", "m")]
    assert (step.config.materialized, step.config.group) == ("incremental", "own")
    assert step.config.tags == ("a", "b")
    assert step.config.unique_key == ("id",)
    assert "later" in step.sql
    assert "later" not in step.full_sql


def test_what_a_folder_says_is_materialized_decides_is_incremental(tmp_path: Path) -> None:
    yaml = SETTINGS + "models: {main: {m: {materialized: incremental}}}\n"
    text = "select 1 as id {% if is_incremental() %} where 2 > 1 {% endif %}"
    step = project_of(tmp_path, text, **{"dagster_models.yaml": yaml}).steps[Key("main", "m")]
    assert "2 > 1" in step.sql
    text = "{{ config(materialized='incremental') }}" + text
    yaml = yaml.replace("materialized: incremental", "materialized: table")
    step = project_of(tmp_path, text, **{"dagster_models.yaml": yaml}).steps[Key("main", "m")]
    assert "2 > 1" in step.sql
    text = "/* @model materialized: table */" + text
    view = project_of(tmp_path, text, **{"dagster_models.yaml": SETTINGS}).steps[Key("main", "m")]
    assert "2 > 1" not in view.sql


def test_statements_of_config_name_relations(tmp_path: Path) -> None:
    text = """{{ config(
    materialized='table',
    post_hook=["analyze " ~ this, "analyze " ~ ref('grows')],
    meta={'reads': ref('grows')},
) }}
select 1 as x"""
    step = project_of(tmp_path, text).steps[Key("main", "m")]
    assert [it.sql for it in step.config.post_statements] == [
        "analyze main.m",
        "analyze main.grows",
    ]
    assert step.config.meta == {"reads": "main.grows"}


def test_config_takes_plain_values(tmp_path: Path) -> None:
    text = """{{ config(
    description="it's of " ~ this,
    tags=set(['c', 'a', 'b']),
    meta={'since': modules.datetime.date(2024, 1, 31), 'of': '', 'at': none},
) }}
select 1 as x"""
    config = project_of(tmp_path, text).steps[Key("main", "m")].config
    assert config.description.startswith("it's of ")
    assert config.tags == ("a", "b", "c")  # a set has another order in each process
    assert config.meta == {"since": dt.date(2024, 1, 31), "of": "", "at": None}
    assert type(config.meta["since"]) is dt.date


# --- what is wrong ---------------------------------------------------------------------------

_WRONG = {
    "ref": ("select 1 as x\nfrom {{ ref('stg_order') }}", "m:2:1: error: ref('stg_order') is no"),
    "nearest": ("select 1 as x from {{ ref('stg_order') }}", "Did you mean `stg_orders`?"),
    "macro of a macro": (
        "select 1 as x\n\nfrom ({{ all_of(['nothing']) }})",
        "m:3:1: error: ref('nothing') is no model or seed of the project"
        " (in macros_jinja/money.sql:14)",
    ),
    "no macro": ("select\n{{ nothing() }} as x", "m:2:1: error: Jinja: 'nothing' is undefined\n"),
    "no package": (
        "select {{ dbt_utils.star(ref('stg_orders')) }}",
        "'dbt_utils' is undefined\n    Macros are read from macros_jinja/, and those of a package"
        " from packages_jinja/<package>/.",
    ),
    "dispatch": (
        "select {{ adapter.dispatch('none', 'util')() }} as x",
        "m:1:1: error: no macro 'none' for duckdb in util",
    ),
    "query": ("{% set x = run_query('select 1') %}select 1", "m:1:1: error: run_query() asks the"),
    "statement": ("{% call statement() %}select 1{% endcall %}", "statement() asks the warehouse"),
    "adapter": (
        "\n{{ adapter.get_relation('a', 'b', 'c') }}",
        "m:2:1: error: adapter.get_relation() asks the warehouse\n    Write what it finds",
    ),
    "syntax": ("select 1 as x\n{% if %}", "m:2:1: error: Jinja: Expected an expression"),
    "unclosed": ("select 1 as x\n{% if 1 %}\n", "m:2:1: error: Jinja: Unexpected end of template"),
    "variable": ("select {{ var('day') }}", "error: var('day') has no value\n    Did you mean `d"),
    "environment": ("select {{ env_var('NONE') }}", "env_var('NONE'): the variable is not set"),
    "secret": ("select {{ env_var('DBT_ENV_SECRET_X', 'a') }}", "is a secret"),
    "target": (
        "select {{ target.region }}",
        "target.region is not known\n    Write `jinja: {",
    ),
    "clock": ("select '{{ run_started_at }}'", "run_started_at has another value in each run"),
    "part of it": ("{{ run_started_at.date() }}", "Write `$run_started_at`, without quotes"),
    "now": ("{{ modules.datetime.datetime.now() }}", "datetime.now() would be the moment of the"),
    "today": ("{{ modules.datetime.date.today() }}", "date.today() would be the day of the load"),
    "run": ("select '{{ invocation_id }}'", "invocation_id has another value in each run"),
    "graph": ("{% for it in graph.nodes %}{% endfor %}", "`graph` is dbt's manifest"),
    "random": ("select {{ [1, 2] | random }}", "`random` gives another text each time"),
    "own error": ("{{ exceptions.raise_compiler_error('no way') }}", "error of its own: no way"),
    "sandbox": ("{{ ().__class__.__mro__ }}", "unsafe"),
    "setting": ("\n{{ config(materialised='table') }}select 1", "m:2:1: error: unknown key `mat"),
    "value": ("\n\n{{ config(materialized='no') }}select 1", "m:3:1: error: `materialized`: the"),
    "sql": ("{% set x = 1 %}\n\nselect {{ x }} as x\nwhere and", "m:4:7: error:"),
    "column": (
        "{% for c in ['id', 'nam'] %}\n{{ 'select' if loop.first else ',' }} {{ c }}\n"
        "{% endfor %} from {{ ref('stg_orders') }}",
        "m:2:1: error: there is no column `nam` (rendered: `, nam`)",
    ),
    "in a macro": (
        "select {{ euros('none') }} as x\nfrom {{ ref('stg_orders') }}",
        "m:1:1: error: there is no column `none` (rendered: `select round(none / 100.0, 2) as x`)",
    ),
    "snapshot": (
        "\n{% snapshot x %}select 1 as id{% endsnapshot %}",
        "m:2:1: error: a model has no `snapshot` block\n    Write the query alone, and"
        " `materialized: snapshot` into the header.",
    ),
    "macro": ("{% macro x() %}{% endmacro %}select 1", "put the macro into macros_jinja/"),
    "quote": ("{% if true %}\n\nselect 'a\n{% endif %}", "m:3:8: error:"),
    "quote in one reading": (
        "{{ config(materialized='incremental') }}\nselect 1 as x\n{% if is_incremental() %}\n"
        " where 'a\n{% endif %}",
        "m:4:8: error:",
    ),
    "python": (
        "select 1\n\n{% if 1 %}\n{% break %}{% endif %}",
        "m:4:1: error: Jinja: 'break' out",
    ),
    "twice": ("\n{{ config(tags='a',\n tags='b') }}select 1", "m:2:1: error: Jinja: keyword argum"),
    "twice in a macro": (
        "select {{ twice() }} as x",
        "m:1:1: error: Jinja: keyword argument repeated: a (in macros_jinja/twice.sql:2)",
    ),
    "deep": (f"select {{{{ {'(' * 1500}1{')' * 1500} }}}}", "m:1:1: error: Jinja: it is nested"),
    "half of a character": ("""select '{{ "\\ud800" }}' as x""", "error: its text has a half"),
    "undefined setting": (
        "\n{{ config(meta={'owner': nobody}) }}select 1",
        "m:2:1: error: config() was given what is not defined for `meta`",
    ),
    "generator": ("{{ config(tags=['a'] | map('upper')) }}select 1", "a generator for `tags`"),
    "list in itself": (
        "{% set it = [] %}{% do it.append(it) %}\n{{ config(tags=it) }}select 1",
        "m:2:1: error: config() was given values within values for `tags`, more than 20 deep",
    ),
    "mapping in itself": (
        "{% set it = {} %}{% do it.update(a=[it]) %}{{ config(meta=it) }}select 1",
        "m:1:1: error: config() was given values within values for `meta`, more than 20 deep",
    ),
    "deep setting": (
        "{% set all = namespace(it=[]) %}{% for _ in range(400) %}{% set all.it = [all.it] %}"
        "{% endfor %}{{ config(meta={'x': all.it}) }}select 1",
        "m:1:1: error: config() was given values within values for `meta`, more than 20 deep",
    ),
    "moment in a setting": ("{{ config(meta={'at': run_started_at}) }}select 1", "another value"),
    "all of target": ("select '{{ target }}' as x", "a template cannot write all of `target`"),
    "nothing": ("{% if false %}select 1{% endif %}", "m:1:1: error: there is no query"),
    "left": ("select {{ '{{ 1 }}' }} as x", "m:1:8: error: this is Jinja, which nothing renders"),
}


@pytest.mark.parametrize("case", _WRONG.values(), ids=_WRONG)
def test_what_is_wrong_is_said_at_its_line(tmp_path: Path, case: tuple[str, str]) -> None:
    text, expected = case
    twice = {"macros_jinja/twice.sql": "{% macro twice() %}\n{{ ref(a=1, a=2) }}{% endmacro %}"}
    assert expected in error_of(tmp_path, text, **twice)


def test_an_environment_variable_of_a_secret_is_in_no_text(tmp_path: Path) -> None:
    variables = "name: shop\njinja: true\nvars: {days: 3, kinds: [a], key: %s}\n"
    files = {
        "dagster_models.yaml": variables % "{type: text, env: API_KEY}",
        "models_jinja/main/m.sql": "select\n'{{ env_var('API_KEY', 'none') }}' as x",
    }
    root, environ = jinja_project(tmp_path, files), {"API_KEY": "hunter2"}
    assert "'hunter2'" in compiled(load_jinja(root, environ=environ), "m")
    secret = variables % "{type: text, env: API_KEY, secret: true}"
    (root / "dagster_models.yaml").write_text(secret)
    project = load_jinja(root, environ=environ, whole=False)  # and the kept text is not used
    (error,) = project.steps[Key("main", "m")].problems
    assert (error.path, error.line) == ("models_jinja/main/m.sql", 2)
    assert error.what == "env_var('API_KEY') is a secret, and the text of a model is shown"
    assert error.fix == "Write `$key`, without quotes, which each run fills in."
    assert project.steps[Key("main", "m")].sql == ""


def test_a_file_may_end_in_upper_case(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"main/upper\.SQL:3:1: error: Jinja: 'no' is undefined"):
        load_jinja(jinja_project(tmp_path, {"models_jinja/main/upper.SQL": "select\n\n{{ no() }}"}))


def test_a_file_beside_a_package_may_have_its_name(tmp_path: Path) -> None:
    beside = {"packages_jinja/util.sql": "{% macro beside() %}{% endmacro %}"}
    assert load_jinja(jinja_project(tmp_path, beside)).steps


def test_two_models_of_one_name_are_an_error_with_the_way_out(tmp_path: Path) -> None:
    files = {"models/other/stg_orders.sql": "select 2 as id"}
    said = error_of(tmp_path, "select id from {{ ref('stg_orders') }}", **files)
    assert "ref('stg_orders') may be main.stg_orders or other.stg_orders" in said
    assert "Write the schema too: `ref('main', 'stg_orders')`." in said


def test_other_models_load_beside_a_template_that_does_not(tmp_path: Path) -> None:
    root = jinja_project(tmp_path, {"models_jinja/main/m.sql": "select {{ nothing() }}"})
    project = load_jinja(root, whole=False)
    (error,) = project.steps[Key("main", "m")].problems
    assert (error.path, error.line) == ("models_jinja/main/m.sql", 1)
    assert [str(key) for key, step in project.steps.items() if step.problems] == ["main.m"]
    assert compiled(project, "grows")


def test_a_wrong_file_of_macros_is_an_error_of_the_templates_alone(tmp_path: Path) -> None:
    root = jinja_project(tmp_path, {"macros_jinja/wrong.sql": "\n{% macro a( %}"})
    project = load_jinja(root, whole=False)
    wrong = {str(key): step.problems for key, step in project.steps.items() if step.problems}
    assert wrong.keys() == {str(key) for key in project.steps if "stg_" not in key.name}
    (error,) = wrong["main.grows"]
    assert "a file of macros is no Jinja: macros_jinja/wrong.sql:2:" in error.what


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file_of_macros_has_no_macros(tmp_path: Path, text: str) -> None:
    files = {"macros_jinja/none.sql": text, "packages_jinja/util/macros/none.sql": text}
    project = load_jinja(jinja_project(tmp_path, files))
    assert not project.warnings
    assert compiled(project, "grows")


def test_a_warning_names_the_line_of_the_template(tmp_path: Path) -> None:
    text = "{% for it in [1, 2] %}\n\n{% endfor %}\nselect x\nfrom {{ source('raw', 'events') }}"
    project = project_of(tmp_path, text)
    (warning,) = project.warnings
    assert (warning.line, warning.severity) == (5, "warning")
    assert project.steps[Key("main", "m")].undeclared[0].line == 5


@pytest.mark.parametrize("setting", ["", "jinja: false\n"])
def test_templates_need_the_setting(tmp_path: Path, setting: str) -> None:
    root = jinja_project(tmp_path, {"dagster_models.yaml": f"name: shop\n{setting}"})
    with pytest.raises(ProjectError, match="nothing renders the templates of this folder") as found:
        load_jinja(root)
    assert "Write `jinja: true` into dagster_models.yaml; it needs the extra `jinja`." in str(
        found.value
    )


def test_templates_need_the_extra(tmp_path: Path) -> None:
    root = jinja_project(tmp_path)
    with (
        mock.patch("dagster_models.project.templates.find_spec", return_value=None),
        pytest.raises(ProjectError, match="templates need Jinja, which is not installed") as found,
    ):
        load_jinja(root)
    assert "pip install 'dagster-models[jinja]'" in str(found.value)
    assert len(found.value.problems) == 1  # and not that nothing renders the templates


def test_a_project_without_templates_imports_no_jinja(tmp_path: Path) -> None:
    with mock.patch.dict(sys.modules, {"jinja2": None, "dagster_models.dbt.templates.door": None}):
        make(tmp_path, {"models/a.sql": "select 1 as x"})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("jinja: yes please", "`jinja`: expected true, got the text 'yes please'"),
        ("jinja: {macros: x}", "`jinja`: unknown key `macros`"),
        ("jinja: {dispatch: [{macro_namespace: a}]}", "expected a namespace and where it is"),
        ("jinja: {dispatch: util}", "expected a namespace and where it is"),
        ("jinja: {target: eu}", "`jinja`: expected keys and values"),
    ],
)
def test_wrong_settings(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(ProjectError) as found:
        load_jinja(jinja_project(tmp_path, {"dagster_models.yaml": f"name: shop\n{written}\n"}))
    assert message in str(found.value)


def test_the_settings_say_more_of_the_target_and_where_macros_are(tmp_path: Path) -> None:
    dispatch = "[{macro_namespace: util, search_order: [shop, util]}]"
    jinja = f"jinja: {{target: {{region: eu}}, dispatch: {dispatch}}}"
    yaml = SETTINGS.replace("jinja: true", jinja)
    own = "{% macro default__named(column) %}{{ column }} as ours{% endmacro %}"
    text = "select '{{ target.region }}' as r, {{ util.named('id') }} from {{ ref('stg_orders') }}"
    files = {"dagster_models.yaml": yaml, "macros_jinja/own.sql": own}
    assert text_of(tmp_path, text, **files).startswith("select 'eu' as r, id as ours from")


# --- what a text rests on --------------------------------------------------------------------


def counted(root: Path, **how: object) -> tuple[int, Any]:
    """How many templates a load renders, and the project."""
    real = rendering.TemplateRenderer.render
    with mock.patch.object(rendering.TemplateRenderer, "render", autospec=True) as render:
        render.side_effect = real
        project = load_jinja(root, **how)
    return render.call_count, project


def version(project: Any, name: str = "m") -> str:
    return str(project.steps[Key("main", name)].code_version)


def test_a_text_is_rendered_again_only_if_something_that_it_asked_for_is_another(
    tmp_path: Path,
) -> None:
    text = "select '{{ env_var('REGION', '') }}' as r, {{ var('days') }} as d, id from "
    files = {"models_jinja/main/m.sql": text + "{{ ref('stg_orders') }}"}
    root, environ = jinja_project(tmp_path, files), {"REGION": "eu", "OTHER": "1"}
    first, project = counted(root, environ=environ)
    assert first == 8
    assert counted(root, environ={**environ, "OTHER": "2"})[0] == 0
    count, other = counted(root, environ={"REGION": "us"})
    assert (count, "'us' as r" in compiled(other, "m")) == (1, True)
    assert version(other) != version(project)
    count, other = counted(root, environ=environ, given=GivenText("{days: 9}", "--vars"))
    assert "9 as d" in compiled(other, "m")
    assert count == 3  # the three that ask for `days`
    (root / "models/other").mkdir()
    (root / "models/other/new.sql").write_text("select 1 as x")
    assert counted(root, environ=environ)[0] == 3  # as the texts of these are gone
    (root / "models/other/stg_orders.sql").write_text("select 1 as x")
    with pytest.raises(ProjectError, match=r"ref\('stg_orders'\) may be"):
        counted(root, environ=environ)


def test_an_edited_macro_changes_the_models_whose_text_it_changes(tmp_path: Path) -> None:
    root = jinja_project(tmp_path)
    before = counted(root)[1]
    macro = root / "macros_jinja/money.sql"
    macro.write_text(macro.read_text().replace("100.0", "1000.0"))
    count, after = counted(root)
    assert count == 7
    changed = {str(k) for k, s in after.steps.items() if s.code_version != version(before, k.name)}
    assert changed == {"main.macros_and_variables"}


def test_a_damaged_cache_only_costs_time(tmp_path: Path) -> None:
    root = jinja_project(tmp_path)
    sent = compiled(counted(root)[1], "grows")
    (root / "target/rendered.cache").write_bytes(b"nothing")
    count, project = counted(root)
    assert (count, compiled(project, "grows")) == (7, sent)
    assert counted(root)[0] == 0


def test_the_kept_text_has_its_settings_and_lines(tmp_path: Path) -> None:
    text = "\n{{ config(tags=['x'], mine=1) }}\nselect {{ config.get('mine') }} as x,\n  none from "
    files = {"models_jinja/main/m.sql": text + "{{ ref('stg_orders') }}"}
    root = jinja_project(tmp_path, files)
    fresh, again = (load_jinja(root, whole=False) for _ in range(2))
    assert fresh.steps == again.steps
    assert fresh.steps[Key("main", "m")].config.tags == ("x",)
    assert [it.line for it in again.warnings] == [4]


def test_a_text_that_asked_for_the_target_is_of_that_target_alone(tmp_path: Path) -> None:
    targets = "targets: {dev: {type: duckdb, path: d.duckdb}, prod: {type: duckdb, path: p.duckdb}}"
    files = {
        "dagster_models.yaml": f"{SETTINGS}{targets}\n",
        "models_jinja/main/m.sql": "select '{{ target.name }}' as x",
        "models_jinja/main/plain.sql": "select 1 as x",
    }
    root = jinja_project(tmp_path, files)
    project = load_jinja(root)
    prod = project.targets["prod"]
    assert compile_step(project, project.steps[Key("main", "plain")], prod) == "select 1 as x"
    with pytest.raises(BrokenFile, match="was rendered for the target dev") as caught:
        compile_step(project, project.steps[Key("main", "m")], prod)
    assert "Set DAGSTER_MODELS_TARGET=prod where the project is loaded." in str(caught.value)
    there = load_jinja(root, environ={"DAGSTER_MODELS_TARGET": "prod"})
    assert compiled(there, "m") == "select 'prod' as x"


@pytest.mark.parametrize("jinja", ["true", "{target: {name: production}}"])
def test_a_kept_text_is_of_the_target_of_the_load(tmp_path: Path, jinja: str) -> None:
    targets = "targets: {dev: {type: duckdb, path: d.duckdb}, prod: {type: duckdb, path: p.duckdb}}"
    files = {
        "dagster_models.yaml": f"{SETTINGS}{targets}\n".replace("jinja: true", f"jinja: {jinja}"),
        "models_jinja/main/m.sql": "select '{{ target.type }}' as x",
    }
    root = jinja_project(tmp_path, files)
    for target in ("dev", "prod"):  # `type` is the same for both, so the second load has the text
        project = load_jinja(root, environ={"DAGSTER_MODELS_TARGET": target})
        assert compiled(project, "m") == "select 'duckdb' as x"


# --- the lines -------------------------------------------------------------------------------


def lines(template: str, **values: object) -> list[tuple[str, int]]:
    """(line of the text, line of the template) of what is rendered."""
    jinja = marked_template(parsed(template, "m.sql"), "m.sql")
    text, found = without_marks(jinja.render(**values))
    return list(zip(text.split("\n"), found, strict=True))


def test_each_line_knows_the_line_that_wrote_it() -> None:
    template = "a\n{% for x in [1, 2] -%}\n  b{{ x }}\n{% endfor %}\nc {{ two }} d\n{{ two }}"
    assert lines(template, two="1\n2") == [
        ("a", 1),
        ("b1", 3),
        ("b2", 3),
        ("", 4),
        ("c 1", 5),
        ("2 d", 5),
        ("1", 6),
        ("2", 6),
    ]


def test_code_sees_no_marks() -> None:
    template = (
        "{% set x %}a{{ 1 }}{% endset %}{{ x | length }}{% filter reverse %}ab{% endfilter %}"
        "{% for x in [1] recursive %}{{ loop([]) | length }}{% endfor %}"
        "{% with y = 2 %}{{ y }}{% endwith %}"
    )
    assert lines(template) == [("2ba02", 1)]


def test_a_text_with_regions_has_the_lines_of_both_readings() -> None:
    merged = "a\n/* @incremental */ b\n/* @full c\n*/ \nd"
    later, full = ("a\nb\nd", (1, 3, 7)), ("a\nc\nd", (1, 5, 7))
    assert lines_of_both(merged, later, full) == (1, 3, 5, 5, 7)
