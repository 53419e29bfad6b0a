"""Schemas that have the name of a database, on real files.

DuckDB reads `a.b` as a relation of the schema a, or of the database a.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dagster_models.compilation.tasks import TargetStep, schemas, task_for
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Project
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ProjectError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.duckdb.session import connect
from project_cases import make
from systems import session_of

FILES = (
    *("main.duckdb", "MAIN.duckdb", "temp.duckdb", "system.db", "dagster_models.db"),
    *(".w.duckdb", "w.x.duckdb", "..w", "no_suffix", "my file.duckdb", 'a"b.duckdb', "a'b.db"),
    *("memory.duckdb", "pg_catalog.duckdb", "{records}.duckdb"),
)
VIEW = "/* @model\nmaterialized: view\n*/\n"
TABLE = "/* @model\nmaterialized: table\n*/\n"


def built(project: Project, session: WarehouseSession) -> set[str]:
    """Build all steps; the names of those that were published."""
    target = project.targets["dev"]
    steps = {str(key): TargetStep(project, step, target) for key, step in project.steps.items()}
    session.prepare(schemas(steps))
    done = set()
    for name, step in steps.items():
        task = task_for(step, "r", 1)
        assert isinstance(task, BuildTask)
        outcome = run(session, task, Stop())
        assert outcome.verdict is Verdict.COMMITTED, (name, outcome.error)
        done.add(name)
    session.prepare(schemas(steps))  # what is there already is no trouble either
    return done


@pytest.mark.parametrize("file", FILES)
def test_whatever_the_file_is_called(tmp_path: Path, file: str) -> None:
    """The schemas are those that a file may share its name with, and what is always there."""
    name = duckdb.connect(str(tmp_path / file)).execute("select current_database()").fetchall()
    (tmp_path / file).unlink()
    settings = "name: p\ntargets:\n  dev:\n    type: duckdb\n    path: >-\n      " + file + "\n"
    files = {"dagster_models.yaml": settings, "models/t.sql": TABLE + "select 1 as n"}
    for schema in ("temp", "System", "w", "Main_DB", "temp_db", "no_suffix"):
        files[f"models/{schema}/{schema}_t.sql"] = TABLE + "select n + 1 as n from t"
        files[f"models/{schema}/{schema}_v.sql"] = VIEW + f'select n from "{schema}_t"'
        files[f"models/reads/{schema}_r.sql"] = VIEW + f'select x.n from "{schema}_v" x'
    project = make(tmp_path, files)
    assert project.targets["dev"].catalog == name[0][0]
    database = connect({"path": str(tmp_path / file)})
    with session_of(database) as session:
        assert built(project, session) == {str(key) for key in project.steps}
    database.close()
    with duckdb.connect(str(tmp_path / file)) as later:  # as a notebook reads it
        rows = later.execute("from reads.temp_r union all from reads.w_r").fetchall()
    assert rows == [(2,), (2,)]


@pytest.mark.parametrize("schema", ["W", "w"])
def test_a_schema_beside_a_file_of_its_name(tmp_path: Path, schema: str) -> None:
    settings = "name: p\ntargets: {dev: {type: duckdb, path: w.duckdb, schema_prefix: ''}}\n"
    project = make(
        tmp_path,
        {
            "dagster_models.yaml": settings,
            f"models/{schema}/a.sql": TABLE + "select 1 as n",
            f"models/{schema}/b.sql": VIEW + f"select {schema}.a.n, a.n as m from {schema}.a",
            f"models/{schema}/c.sql": VIEW + "select o.n from b as o join a using (n)",
            "models/c2.sql": VIEW + "with a as (select * from a) select (select max(n) from c) n"
            " from a where n in (select n from b)",
        },
    )
    database = connect({"path": str(tmp_path / "w.duckdb")})
    with session_of(database) as session:
        assert len(built(project, session)) == 4
        assert session.query("select n from main.c2")[1] == [(1,)]
    database.close()


def test_a_function_of_such_a_schema(tmp_path: Path) -> None:
    header = "/* @model\nmaterialized: function\narguments: {{n: integer}}\nreturns: {}\n*/\n"
    project = make(
        tmp_path,
        {
            "dagster_models.yaml": "name: p\ntargets: {dev: {type: duckdb, path: w.duckdb}}\n",
            "models/w/f.sql": header.format("integer") + "select $n * 2",
            "models/w/g.sql": header.format("{i: integer}") + "select w.f($n) as i",
            "models/w/a.sql": TABLE + "select w.f(i) as n from g(1)",
            "models/w/z.sql": VIEW + "select n from a\nwhere f(n) > 0",
        },
    )
    database = connect({"path": str(tmp_path / "w.duckdb")})
    with session_of(database) as session:
        if duckdb.__version__ < "2":
            assert len(built(project, session)) == 4
        else:
            with pytest.raises(AssertionError, match="the schema or the file another name"):
                built(project, session)
        assert session.query("select n from w.w.a")[1] == [(4,)]
    database.close()


@pytest.mark.parametrize("file", ["Temp.duckdb", "SYSTEM"])
def test_a_file_that_duckdb_mistakes_for_its_own_database(tmp_path: Path, file: str) -> None:
    """DuckDB 1 opens it, and can create nothing in it; in DuckDB 2 it has another name."""
    settings = f"name: p\ntargets:\n  dev: {{type: duckdb, path: {file}}}\n"
    files = {"dagster_models.yaml": settings, "models/t.sql": TABLE + "select 1 as n"}
    if duckdb.__version__ < "2":
        what = "dagster_models.yaml:3:3: error: target `dev`: DuckDB 1 mistakes"
        with pytest.raises(ProjectError, match=what):
            make(tmp_path, files)
        return
    project = make(tmp_path, files)
    database = connect({"path": str(tmp_path / file)})
    with session_of(database) as session:
        assert built(project, session) == {"main.t"}
    database.close()
