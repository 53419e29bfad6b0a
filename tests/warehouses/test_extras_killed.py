"""A build with all that it may do besides its rows is killed before each of its statements: all of
it is there, or nothing, as the commit record says."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet
from test_snapshot import START

from dagster_models.core.extras import Export, Extras, Index, UserStatement
from dagster_models.core.materializations import Function
from dagster_models.core.messages import Verdict
from lives import Build, Kill, Lives
from running import EXHAUSTIVE
from systems import System
from tasks import sql_task

#: What a reader sees besides the rows: index, comments of the table and of a column, grants.
SEEN = {
    "duckdb": (
        "select index_name from duckdb_indexes() where schema_name = 's'",
        "select split_part(comment, chr(10), 1) from duckdb_tables() where table_name = 't'",
        "select comment from duckdb_columns() where table_name = 't' and column_name = 'i'",
        "select 1 where 1 = 0",
    ),
    "postgres": (
        "select indexname from pg_indexes where schemaname = 's'",
        "select obj_description('s.t'::regclass)",
        "select col_description('s.t'::regclass, 1)",
        "select distinct privilege_type from information_schema.role_table_grants"
        " where table_name = 't' and grantee = 'PUBLIC'",
    ),
}
QUESTIONS = (
    "select i, f from s.t",
    "select s.f()",
    "select what, i from s.log",
)
RECORDS = tuple(
    f"select attempt from dagster_models.commits where step = 's.{name}'" for name in "ft"
)


@dataclass(frozen=True)
class Model:
    """A function, and a table that calls it and has all that a build may make besides rows; what
    each of it is depends on the number of the attempt."""

    system: System
    export: Export

    def builds(self, attempt: int) -> list[Build]:
        function = sql_task("s.f", f"select {attempt}", attempt=attempt)
        how = Function((), (("", self.system.type_of("BIGINT")),))
        ephemeral = f"(\nselect {attempt} as i\n) as ephemeral"
        table = sql_task("s.t", f"select i, s.f() as f from {ephemeral}", attempt=attempt)
        table = replace(table, extras=self._extras(attempt), builder="p")
        return [Build(replace(function, materialization=how), START), Build(table, START)]

    def _extras(self, attempt: int) -> Extras:
        log = "insert into s.log values ('{}', {})"
        create = "create table if not exists s.log (what varchar, i int)"
        has_grants = self.system.name == "postgres"
        return Extras(
            before=tuple(
                UserStatement(sql, "pre_statements", "", 1)
                for sql in (create, log.format("pre", attempt))
            ),
            after=(UserStatement(log.format("post", attempt), "post_statements", "", 1),),
            grants={"select": ("public",) if attempt % 2 else ()} if has_grants else {},
            indexes=(Index(("if"[attempt % 2],), name=f"of_{attempt}"),),
            comment=f"comment {attempt}",
            column_comments={"i": f"i of {attempt}"},
            export=self.export,
        )

    def seen(self, functions: list[int], tables: list[int]) -> list[list[list[str]]]:
        """The answers after these attempts have built the function and the table."""
        called = [[str(max(functions))]] if functions else []
        if not tables:
            return [[], called, *([[]] * 5)]
        last = max(tables)
        return [
            [[str(last)] * 2],
            called,
            sorted([what, str(it)] for it in tables for what in ("pre", "post")),
            [[f"of_{last}"]],
            [[f"comment {last}"]],
            [[f"i of {last}"]],
            [["SELECT"]] if last % 2 and self.system.name == "postgres" else [],
        ]

    def exported(self) -> int:
        """The attempt whose files a reader finds; 0 for none."""
        if not os.path.exists(self.export.path):
            return 0
        return int(pyarrow.parquet.read_table(f"{self.export.path}/data.parquet")["i"][0].as_py())


def test_a_kill_before_each_statement(system: System, lives: Lives, tmp_path: Path) -> None:
    """Or after it. In CI these are a part, but for those about the last COMMIT."""
    model = Model(system, Export(str(tmp_path / "out" / "t"), owner="s.t of p"))
    questions = (*RECORDS, *QUESTIONS, *SEEN[system.name])
    assert lives.begin(system, fresh=True).work(model.builds(1)).ended == 0
    count = lives.begin(system).work(model.builds(2)).acts
    kills = [Kill(act) for act in range(1, count, 1 if EXHAUSTIVE else 9)]
    kills += [Kill(act, commits=2) for act in (1, 2, 3)]
    exported, fates, life = 2, set[tuple[bool, ...]](), lives.begin(system)
    for attempt, kill in enumerate(kills, 3):
        work = life.work(model.builds(attempt), kill)
        assert work.ended == -9, (kill, work)
        life = lives.begin(system, questions)
        functions, tables, *found = life.answers
        built = [[int(it) for (it,) in records] for records in (functions, tables)]
        assert found == model.seen(*built), (kill, work)
        is_built = tuple(attempt in attempts for attempts in built)
        assert model.exported() in (exported, attempt if is_built[1] else exported), kill
        exported = model.exported()
        fates.add(is_built)
    assert fates == {(False, False), (True, False), (True, True)}
    work = life.work(model.builds(attempt + 1))
    assert [outcome.verdict for outcome, _ in work.done] == [Verdict.COMMITTED] * 2, work
    assert model.exported() == attempt + 1
