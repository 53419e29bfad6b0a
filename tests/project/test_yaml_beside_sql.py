"""YAML files beside models, in dbt's shape: what they say, what goes before it, what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.core.model import Key
from dagster_models.errors import ProjectError
from dagster_models.project import described
from dagster_models.project.checks.aliases import ALIASES
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.yaml import nodes
from project_cases import load, make, report_of, write_project

MODEL = "select id, total from raw.orders"
SAYS = """
version: 2
models:
  - name: orders
    description: from yaml
    config: {tags: [a], materialized: table, alias: other}
    columns:
      - {name: id, description: of yaml, tests: [not_null, {unique: {severity: warn}}]}
"""


def test_the_header_goes_before_it_and_it_before_the_folder(tmp_path: Path) -> None:
    header = "/* @model\ndescription: own\ntags: [b]\n"
    header += "columns: {ID: {type: int, checks: [{unique: {severity: error}}]}}\n*/\n"
    settings = "name: p\nmodels: {marts: {materialized: view, tags: [c], group: g}}"
    files = {
        "dagster_models.yaml": settings,
        "models/marts/orders.sql": header + MODEL,
        "models/marts/deep/all.yaml": SAYS,
    }
    step = make(tmp_path, files).steps[Key("marts", "orders")]
    config = step.config
    assert (config.description, config.materialized, config.group) == ("own", "table", "g")
    assert config.tags == ("c", "a", "b")
    assert str(step.relation) == "marts.other"
    (column,) = config.columns
    assert (column.name, column.type, column.description) == ("ID", "int", "of yaml")
    severities = {check.name.lower(): check.severity for check in step.checks}
    assert severities == {"unique_id": "error", "not_null_id": "error"}


def test_a_python_model_a_snapshot_and_a_seed(tmp_path: Path) -> None:
    says = (
        "models: [{name: code, description: c}]\nsnapshots: [{name: snap, config: {tags: [s]}}]\n"
    )
    snapshot = (
        "/* @model\nmaterialized: snapshot\nunique_key: id\nstrategy: check\ncheck_cols: all\n*/ "
        + MODEL
    )
    files = {
        "models/all.yml": says,
        "models/code.py": "def model(warehouse):\n    return [{'id': 1}]\n",
        "models/snap.sql": snapshot,
        "seeds/_all.yml": "seeds: [{name: names, columns: [{name: id, data_tests: [unique]}]}]",
        "seeds/names.csv": "id\n1",
    }
    steps = make(tmp_path, files).steps
    assert steps[Key("main", "code")].config.description == "c"
    assert steps[Key("main", "snap")].config.tags == ("s",)
    assert [check.name for check in steps[Key("seeds", "names")].checks] == ["unique_id"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("models: [{name: orders}]\nexposures: []", "2:1: warning", "`exposures` is not read"),
        ("models:\n- name: ordrs", "2:9: warning", "is no file of models/"),
        ("models: [{name: orders, docs: {show: true}}]", "1:25: warning", "has no effect"),
        ("seed: 1", "1:1: warning", "this file is ignored"),
        ("", "1:1: warning", "the file is empty"),
        ("models: [{name: orders, kye: 1}]", "1:25: error", "unknown key `kye`"),
        ("models:\n- name: orders\n- name: orders", "3:3: error", "is described twice, first at"),
        ("models: {orders: {}}", "1:9: error", "expected a list"),
        ("models: [{description: x}]", "1:10: error", "an entry of `models` has no name"),
        ("models: []\nmodel: []", "2:1: error", "unknown key `model`"),
        ("models: [{name: orders, columns: [{name: id, tests: [x]}]}]", "1:54: error", "`x`"),
    ],
)
def test_what_is_wrong_in_it(tmp_path: Path, text: str, place: str, what: str) -> None:
    files = {"models/sources.yaml": "sources: [{name: raw, tables: [orders]}]"}
    root = write_project(tmp_path, {**files, "models/orders.sql": MODEL, "models/a.yml": text})
    report = report_of(root)
    assert f"models/a.yml:{place}: " in report
    assert what in report


def test_a_number_as_a_label_stays_as_it_is_written(tmp_path: Path) -> None:
    says = "models: [{name: orders, tags: {v: 1.10, n: 1_000, yes: yes}}]"
    step = make(tmp_path, {"models/orders.sql": "select 1 as id", "models/a.yml": says}).steps
    assert step[Key("main", "orders")].config.tags == ("v=1.10", "n=1_000", "yes=true")


def test_two_models_of_one_name(tmp_path: Path) -> None:
    files = {f"models/{schema}/orders.sql": MODEL for schema in ("a", "b")}
    says = "models: [{name: orders, description: x}]"
    root = write_project(tmp_path, {**files, "models/all.yml": says})
    assert "`orders` may be models/a/orders.sql or models/b/orders.sql" in report_of(root)
    (root / "models/all.yml").rename(root / "models/b/all.yml")
    steps = load(root).steps
    assert [steps[Key(it, "orders")].config.description for it in "ab"] == ["", "x"]


def wrong(root: Path) -> set[str]:
    project = load(root, whole=None)
    return {
        str(it.key) for it in (*project.steps.values(), *project.sources.values()) if it.problems
    }


def test_a_wrong_entry_is_of_its_model_alone(tmp_path: Path) -> None:
    says = "models:\n- {name: a, kye: 1}\n- {name: b, columns: {id: {tests: [no]}}}\n- name: c\n"
    says += "sources:\n- name: raw\n  tables: [{name: good}, {name: bad, kye: 1}]\n"
    files = {f"models/{name}.sql": "select 1 as id" for name in "abcd"}
    files |= {"models/all.yml": says, "models/e.sql": "from raw.good"}
    assert wrong(write_project(tmp_path, files)) == {"main.a", "main.b", "raw.bad"}


@pytest.mark.parametrize("end", ["\n  - [", "\nmodel: []\n"])
def test_a_file_that_is_wrong_as_a_whole(tmp_path: Path, end: str) -> None:
    """What it says of these models is lost: they would be built otherwise than they should be."""
    says = "models:\n  - name: a\n    config: {alias: z}\n"
    sources = "sources:\n  - name: raw\n    tables:\n      - name: orders\n        identifier: o\n"
    files = {f"models/{name}.sql": "select 1 as id" for name in "ab"}
    files |= {"models/x.yml": says + end, "models/y.yml": sources + end}
    files |= {"models/c.sql": "from raw.orders", "models/d.sql": "from raw.other"}
    root = write_project(tmp_path, files)
    assert wrong(root) - {"raw.orders"} == {"main.a"} | ({"main.c"} if end[-1] == "[" else set())
    relation = load(root, whole=None).steps[Key("main", "a")].relation
    assert str(relation) in ("None", "main.z")
    (root / "models/x.yml").write_bytes(b"\xff" + says.encode())
    assert wrong(root) >= {"main.a", "main.b", "main.c", "main.d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # It cannot be read as YAML, and shows or hides which models it is about.
        ("models:\n  - name: a\n\ttests: [unique]", "x.a"),
        ('models: [{"name": "a", \'x\': [}]', "x.a"),
        ("models:\n  - name: &it b\n  - [", "x.b"),
        ("models:\n  - name: >-\n      X.A\n  - [", "x.a"),
        ("models:\n  - [", "x.a x.b"),
        ("models:\n  {% for name in names %}\n  - name: {{ name }}\n", "x.a x.b"),
        ('models:\n  - name: "\\x61"\n    tests: [', "x.a x.b"),
        ("models:\n  - {name: a, description: see b, tests: [}", "x.a"),
        ("sources:\n  - name: it\n    tables: [a]\n  - [", ""),
        ("unit_tests:\n  - model: a\n  - [", ""),
        ("models:\n  - name: c\n  - [", "y.c"),
        # It is YAML, and a part of it is read by nobody.
        ("models: {a: {tests: [x]}}", "x.a"),
        ("- name: a\n  tests: [x]", "x.a"),
        ("models: [{nmae: a, tests: [x]}, {name: b}]", "x.a x.b"),
        ("models: [{nmae: d, tests: [x]}]", "x.a x.b"),
        ("models: [{name: b}]\nmodels: [{name: a, tests: [x]}]", "x.a x.b"),
        ("modles: [{name: a, tests: [x]}]", "x.a"),
        ("modles: [{name: a, tests: [x]}]\nsources: []", "x.a"),
        (
            "models: [{name: a, columns: &it [{name: id, tests: [x]}]}, {name: b, columns: *it}]",
            "x.a x.b",
        ),
        ("models: [{name: a, config: &it {kye: 1}}, {name: b, config: *it}]", "x.a x.b"),
        # Nothing of what it says of models is lost.
        ("models: [{name: a}]\nunit_tests: [{name: x, description: \"{{ doc('x') }}\"}]", ""),
        ("models: [{name: a}]\nexposures: [{name: b}]", ""),
    ],
)
def test_what_a_file_may_have_said_is_of_each_model_that_it_may_be_about(
    tmp_path: Path, text: str, expected: str
) -> None:
    """None of these is built without the checks that the file may hold."""
    files = {f"models/{path}.sql": "select 1 as id" for path in ("x/a", "x/b", "y/c")}
    found = wrong(write_project(tmp_path, {**files, "models/x/all.yml": text}))
    assert found - {"it.a"} == set(expected.split())


def test_settings_of_a_folder_without_files_are_a_warning(tmp_path: Path) -> None:
    settings = "name: p\nmodels:\n  martz: {materialized: table}\n"
    files = {"dagster_models.yaml": settings, "models/marts/a.sql": "select 1 as id"}
    (warning,) = make(tmp_path, files).warnings
    assert (warning.line, warning.column, warning.severity) == (3, 3, "warning")
    assert "Did you mean `marts`?" in warning.fix


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("${N}", "15", 15),
        ("${N}", "007", "007"),
        ("${N}", "true", True),
        ("a_${N}", "15", "a_15"),
        ("['${N}', x]", "15", [15, "x"]),
        ("{type: text, default: '${N}'}", "15", "15"),
        ("{type: integer, default: '${N}'}", "007", 7),
        ("{type: [integer], default: ['${N}']}", "2", [2]),
    ],
)
def test_the_environment_in_variables(
    tmp_path: Path, declared: str, text: str, value: object
) -> None:
    files = {"dagster_models.yaml": f"name: p\nvars:\n  n: {declared}"}
    root = write_project(tmp_path, {**files, "models/a.sql": "select $n as n"})
    found = load(root, environ={"N": text}).steps[Key("main", "a")].variables["n"]
    assert (found, type(found)) == (value, type(value))
    header = "/* @model\nvars: {m: '${N}_'}\n*/ select $m as m"
    write_project(root, {**files, "models/b.sql": header})
    assert load(root, environ={"N": text}).steps[Key("main", "b")].variables["m"] == f"{text}_"


def test_a_variable_that_is_not_set_or_of_another_type(tmp_path: Path) -> None:
    settings = "name: p\nvars:\n  n: ${N}\n  i: {type: integer, default: '${I}'}\n"
    root = write_project(
        tmp_path, {"dagster_models.yaml": settings, "models/a.sql": "select 1 as a"}
    )
    with pytest.raises(ProjectError) as raised:
        load(root, environ={"I": "x"})
    assert [(it.line, it.column, it.what) for it in raised.value.problems] == [
        (3, 6, "the variable `n` needs the environment variable N"),
        (4, 31, "the variable `i` is integer, and `${I}` is not"),
    ]


def test_what_is_not_read_is_said_once() -> None:
    assert described.IDLE.keys() == nodes.NOT_READ


def test_the_words_of_conditions_are_known_where_jinja_is_looked_for() -> None:
    """Who reads these reports their Jinja, so the reader of the file leaves it to them."""
    ours = {"where", *(it for kind in KINDS.values() for it in kind.conditions)}
    theirs = {it for alias in ALIASES.values() for it in alias.arguments if alias.ours(it) in ours}
    assert {"where", "filter"} | ours | theirs == nodes.CONDITIONS


def test_several_expressions_without_names(tmp_path: Path) -> None:
    """As in dbt's own example, jaffle-shop."""
    text = (
        "models: [{name: orders, data_tests: [{dbt_utils.expression_is_true: {expression: a = b}},"
        " {dbt_utils.expression_is_true: {expression: total = A + b}}], columns: [{name: a,"
        " data_tests: [{dbt_utils.expression_is_true: {expression: '> 0'}}]}]}]"
    )
    sql = "select 1 as a, 2 as b, 3 as total"
    files = {"models/orders.sql": sql, "models/orders.yml": text}
    (step,) = make(tmp_path, files).steps.values()
    names = {check.name for check in step.checks}
    assert names == {"expression_a_b", "expression_total_a_b", "expression_a"}
