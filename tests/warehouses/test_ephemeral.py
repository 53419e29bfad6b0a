"""An ephemeral model is read as a view is, wherever its name may stand; errors name its file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key, Project
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.reporting.step_results import step_result
from dagster_models.warehouses.base import WarehouseSession
from project_cases import make
from systems import System

HEAD = "/* @model\nmaterialized: ephemeral\n*/\n"
BASE = "select 1 as k, 10 as v union all select 2, 20 union all select 3, null"
#: The texts of a model that its readers read, each with the columns k and v.
TEXTS = {
    "plain": "select k, v from base",
    "comments": "/* first ( */ select k, v -- a ' and (\nfrom base -- the end",
    "semicolon": "select k, v from base; -- behind it\n",
    "ctes": "with base as (select * from s.base), e as (select k, v from base) select * from e",
    "values": "select * from (values (1, 10), (2, 20), (3, null)) as t(k, v)",
    "sets": "select 1 as k, 10 as v union all (select k, v from base where k > 1)",
    "limited": "select k, v from base order by k desc limit 2",
    "nested": "select inner_one.k, inner_one.v from inner_one",
    "recursive": "with recursive base(k) as (select 1 union all select k + 1 from base where k < 3)"
    " select k, k * 10 as v from base",
}
READERS = (
    "select * from e",
    "select e.k, e.v + 1 as w from e where e.k > 1",
    "select x.k from e x",
    "select x.k from e as x join base on base.k = x.k",
    "select s.e.k from s.e",
    "select * from e as t(a, b)",
    "with e as (select 7 as k, 8 as v) select * from e",
    "with base as (select 99 as k, 0 as v) select * from e",
    "with x as (select * from e) select x.k, e.v from x join e on x.k = e.k",
    "with recursive e2(n) as (select k from e union all select n + 10 from e2 where n < 20)"
    " select * from e2",
    "select (select max(e.k) from e) as m, exists (select 1 from e where k = 2) as f from base",
    "select a.k, b.k as l from e a left join e b on a.k = b.k + 1",
    "select base.k, l.v from base, lateral (select e.v from e where e.k = base.k) as l",
    "select k from e union all select k from base except select 1",
    "select sum(v) over (order by k) as t, e.k in (select k from e) as f from e",
    'select "e"."k" from "e" cross join base',
)
IN_DUCKDB = (
    "from e",
    "from e select k where v > 1",
    "pivot e on k in (1, 2) using sum(v)",
    "pivot (from e) on k in (1, 2) using sum(v)",
    "unpivot e on k, v into name n value x",
    "select * from e pivot (sum(v) for k in (1, 2, 3))",
    "select * from e unpivot (x for n in (k, v)) as u",
    "select * from base positional join e",
    "select e from e",
    "select * exclude (v) from e",
)
IN_POSTGRES = (
    "select cast(e as text) from e",
    "select (e).k from e",
    "select * from base natural join e",
)


def project_of(folder: Path, system: System, how: str, text: str, readers: list[str]) -> Project:
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {system.name}\nschema: s\n",
        "models/base.sql": BASE,
        "models/inner_one.sql": f"/* @model\nmaterialized: {how}\n*/\nselect * from base",
        "models/e.sql": f"/* @model\nmaterialized: {how}\n*/\n{text}",
        **{f"models/r{at}.sql": reader for at, reader in enumerate(readers)},
    }
    return make(folder, files)


def sent(project: Project, name: str) -> str:
    key = Key("s", name)
    step = project.steps.get(key) or project.ephemerals[key]
    return compile_step(project, step, usable_target(project))


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_read_as_a_view_is(
    session: WarehouseSession, system: System, tmp_path: Path, name: str
) -> None:
    own = IN_DUCKDB if system.name == "duckdb" else IN_POSTGRES
    readers = [*READERS, *own]
    view = project_of(tmp_path / "view", system, "view", TEXTS[name], readers)
    inside = project_of(tmp_path / "inside", system, "ephemeral", TEXTS[name], readers)
    for model in ("base", "inner_one", "e"):
        session.execute(f"create view s.{model} as {sent(view, model)}")
    for at in range(len(readers)):
        expected = session.query(sent(view, f"r{at}"))
        text = sent(inside, f"r{at}")
        found = session.query(text)
        assert found[0] == expected[0], text
        assert Counter(map(str, found[1])) == Counter(map(str, expected[1])), text


def test_an_error_names_its_file_and_line(
    session: WarehouseSession, system: System, tmp_path: Path
) -> None:
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {system.name}\nschema: s\n",
        "models/deep.sql": f"{HEAD}select 1 as k,\nno_such(2) as v\n",
        "models/e.sql": f"{HEAD}select k\n, v from deep join\n"
        "(select 2 as z) as t on true where\nno_such_2(z) > k\n",
        "models/r.sql": "select k, 1 as x,\n(select max(v)\nfrom e) as m, v\nfrom e\nwhere\n"
        "no_such_3(k) > 1",
    }

    def where(text: dict[str, str]) -> str:
        project = make(tmp_path, {**files, **text})
        step = TargetStep(project, project.steps[Key("s", "r")], usable_target(project))
        task = task_for(step, "r", 1)
        assert isinstance(task, BuildTask)
        outcome = run(session, task, Stop())
        assert outcome.error is not None, task
        return step_result(step.name, step, "failed", outcome).where

    assert where({}) == "models/deep.sql:5"
    fixed = {"models/deep.sql": files["models/deep.sql"].replace("no_such(2)", "2")}
    assert where(fixed) == "models/e.sql:7"
    fixed["models/e.sql"] = files["models/e.sql"].replace("no_such_2(z)", "z")
    assert where(fixed) == "models/r.sql:6"
    fixed["models/r.sql"] = (
        "/* @model\nmaterialized: incremental\n*/\nselect deep.k from deep\n"
        "/* @incremental */ join (select k from e) as t using (k) /* @end */ /* @full , e */\n"
        "where no_such_4(1) > 1"
    )
    assert where(fixed) == "models/r.sql:6"
