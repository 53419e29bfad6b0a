"""Whole projects on MariaDB: what they build, what their checks find, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import warm_python
from commands import DAGSTER
from mariadb_server import MariaServer, left_on
from project_cases import report_of, write_project
from running import DEFINITIONS

nightly = pytest.mark.nightly
YAML = "name: shop\ntarget: dev\ndialect: mysql\ntargets:\n  dev: {type: mariadb, %s}\n"


def run_job(root: Path) -> None:
    home = root.with_name("home")
    home.mkdir(exist_ok=True)
    command = [DAGSTER, "job", "execute", "-f", "definitions.py", "-j", "shop"]
    env = {**os.environ, "DAGSTER_HOME": str(home), "NO_COLOR": "1"}
    done = warm_python.run(command, root, env, timeout_seconds=250)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


CHECKED = """/* @model
materialized: table
indexes: [{columns: n}]
columns:
  c:
    checks:
      - accepted_values: {values: [ann, Bob], severity: warn}
      - rejected_values: {values: [Ann], severity: warn}
      - regex: {matches: '^[ABé]', severity: warn}
      - regex: {name: not_a, not_matches: '^A', severity: warn}
      - relationships: {to: marts.some, field: c, severity: warn}
      - unique: {severity: warn}
      - length: {max: 3, severity: warn}
      - distinct_count: {min: 5, severity: warn}
  n:
    checks:
      - accepted_values: {values: [2, 1.5], severity: warn}
      - range: {min: 2, severity: warn}
      - mean: {min: 100, severity: warn}
      - not_null: {severity: warn}
checks:
  - row_count: {min: 5, severity: warn}
  - expression: {sql: n > 1, severity: warn}
  - equality: {to: marts.some, columns: [c], severity: warn}
*/
select 'Ann' as c, 1 as n
union all select 'Bob', 2
union all select 'ééé', 5
union all select 'Ann', null
"""
#: How many rows offend each check, by hand; 1 for a check of the whole relation.
OFFENDING = {
    "accepted_values_c": 3,
    "rejected_values_c": 2,
    "not_a": 2,
    "relationships_c": 2,
    "unique_c": 1,
    "distinct_count_c": 1,
    "accepted_values_n": 2,
    "range_n": 1,
    "mean_n": 1,
    "not_null_n": 1,
    "row_count": 1,
    "expression": 1,
    "equality": 3,
}


@nightly
@pytest.mark.timeout(120)
def test_a_project_is_built_and_its_checks_find_what_is_wrong(
    mariadb: MariaServer, tmp_path: Path
) -> None:
    files = {
        "dagster_models.yaml": YAML % f"socket: {mariadb.socket}, user: root, schema_prefix: dev_",
        "definitions.py": DEFINITIONS,
        "seeds/raw/orders.csv": "id,who,paid\n1,Ann,true\n2,Bob,false\n",
        "models/marts/some.sql": "/* @model\nmaterialized: view\n*/\nselect 'Ann' as c",
        "models/marts/checked.sql": CHECKED,
        "models/marts/scored.py": (
            "def model(warehouse):\n"
            "    frame = warehouse.sql('select id, who from raw.orders order by id').df()\n"
            "    frame['twice'] = frame['id'] * 2\n    return frame\n"
        ),
    }
    root = write_project(tmp_path / "p", files)
    run_job(root)
    assert mariadb.rows("select * from dev_marts.scored") == [(1, "Ann", 2), (2, "Bob", 4)]
    assert mariadb.rows("select c from dev_marts.some") == [("Ann",)]
    results = json.loads((root / "target" / "run_results.json").read_text())
    found = {
        result["unique_id"].rpartition(".")[2]: result["failures"]
        for result in results["results"]
        if result["status"] == "warn" and result["failures"]
    }
    assert found == OFFENDING
    assert left_on(mariadb) == []


@pytest.mark.parametrize(
    "header",
    [
        "materialized: table\npost_statements: [select 1]",
        "materialized: table\npersist_docs: {relation: true}",
        "materialized: table\nindexes: [{columns: a, type: hash}]",
    ],
)
def test_what_it_has_not_is_refused_when_the_project_is_loaded(tmp_path: Path, header: str) -> None:
    text_ = f"/* @model\n{header}\n*/\nselect 1 as a"
    files = {"dagster_models.yaml": YAML % "host: h", "models/a.sql": text_}
    report = report_of(write_project(tmp_path, files))
    assert "models/a.sql:" in report
    assert "the target `dev` cannot have this: " in report


MODELS = {
    "seeds/raw/orders.csv": "id,at,paid\n1,2024-01-01 10:00:00,5\n2,2024-01-02 11:00:00,7\n",
    "models/marts/paid.sql": """/* @model
materialized: incremental
unique_key: id
since: {column: at, lookback: 2d}
columns: {id: {checks: [unique, {relationships: {to: raw.orders, field: id}}]}}
*/
select id, at, paid from raw.orders where at >= /*$since*/ timestamp '2024-01-01 00:00:00'
""",
    "models/marts/scored.py": '''"""
@model
materialized: incremental
unique_key: id
since: at
"""


def model(warehouse):
    return warehouse.sql(
        "select id, at, paid * 2 as twice from raw.orders"
        " where at > /*$since*/ timestamp '2020-01-01 00:00:00'"
    ).df()
''',
}


@nightly
@pytest.mark.timeout(300)
def test_a_project_is_built_again_and_again(mariadb: MariaServer, tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": YAML % f"socket: {mariadb.socket}, user: root",
        "definitions.py": DEFINITIONS,
        **MODELS,
    }
    root = write_project(tmp_path / "p", files)
    run_job(root)
    more = "1,2024-01-01 10:00:00,6\n2,2024-01-02 11:00:00,7\n3,2024-01-03 00:00:00,9\n"
    (root / "seeds/raw/orders.csv").write_text(f"id,at,paid\n{more}")
    run_job(root)
    assert mariadb.rows("select id, paid from marts.paid order by id") == [(1, 6), (2, 7), (3, 9)]
    scored = [(1, 10), (2, 14), (3, 18)]  # the first one is older than what was built
    assert mariadb.rows("select id, twice from marts.scored order by id") == scored
    kinds = "select relation, kind, inserted, updated from dagster_models.commits"
    found = mariadb.rows(f"{kinds} where kind <> 'whole' and relation <> 'raw.orders' order by 1")
    assert [it for it in found if it[0] == "marts.paid"] == [("marts.paid", "delta", 1, 1)]
    assert left_on(mariadb) == []
