"""A model whose text has regions for a build in full: both readings decide what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.errors import ProjectError
from dagster_models.project.incremental import reads_itself
from dagster_models.project.targets import usable_target
from project_cases import make

HEADER = "/* @model\nmaterialized: incremental\nunique_key: id\n*/\n"
TEXT = """\
select * from raw.changed as c
/* @incremental */ where at > (select max(at) from main.events)
/* @full union all select * from raw.archive where year >= $first */
"""
SETTINGS = "name: p\nvars: {first: 2013}\ntargets: {dev: {type: duckdb, path: t.duckdb}}\n"
SOURCES = "sources: [{name: raw, tables: [changed, archive, more]}]\n"


def project(root: Path, text: str = TEXT, header: str = HEADER) -> Project:
    files = {
        "dagster_models.yaml": SETTINGS,
        "models/sources.yaml": SOURCES,
        "models/events.sql": header + text,
    }
    return make(root, files)


def test_what_both_readings_name_is_read_and_sent(tmp_path: Path) -> None:
    found = project(tmp_path)
    step, target = found.steps[Key("main", "events")], usable_target(found)
    assert {str(key) for key in step.upstream} == {"raw.changed", "raw.archive"}
    assert not reads_itself(step)  # a build in full does not
    sent = compile_step(found, step, target)
    assert sent.removeprefix(HEADER) == TEXT.replace("raw.changed", '"raw"."changed"').replace(
        "main.events", '"main"."events"'
    )
    full = compile_step(found, step, target, full=True)
    wanted = 'select * from "raw"."changed" as c union all select * from "raw"."archive"'
    assert full.split() == f"{HEADER} {wanted} where year >= 2013".split()


def test_an_own_name_that_a_build_in_full_reads_too(tmp_path: Path) -> None:
    typed = "columns: {id: {type: int}, at: {type: date}}\n*/"
    text = TEXT.replace("select * from raw.archive", "select * from events")
    found = project(tmp_path, text, HEADER.replace("*/", typed))
    assert reads_itself(found.steps[Key("main", "events")])


def test_the_code_version_is_of_both_readings(tmp_path: Path) -> None:
    texts = [
        TEXT,
        TEXT.replace("raw.archive", "raw.more"),
        TEXT.replace("max(at)", "min(at)"),
        TEXT.replace("/* @full union", "/* @end */ /* @full union"),
        TEXT.replace("union", "UNION  "),
    ]
    versions = [
        project(tmp_path / str(number), text).steps[Key("main", "events")].code_version
        for number, text in enumerate(texts)
    ]
    assert len(set(versions[:3])) == 3
    assert versions[3] == versions[4] == versions[0]  # the two texts are the same


@pytest.mark.parametrize(
    ("text", "header", "problem"),
    [
        (TEXT, "", "models/events.sql:1:1: error: `/* @incremental */` and `/* @full */` have no"),
        (TEXT.replace(">= $first", ">="), HEADER, "models/events.sql:7:"),
        (
            TEXT.replace("$first", "$last"),
            HEADER,
            "models/events.sql:7:60: error: the variable `last` has no",
        ),
        (TEXT.replace("/* @full", "/* full"), HEADER, "models/events.sql:6:1: error: this /* @inc"),
        (TEXT.replace("raw.archive", "archiv"), HEADER, "models/events.sql:7:34: "),
    ],
)
def test_mistakes_are_reported_where_they_stand(
    tmp_path: Path, text: str, header: str, problem: str
) -> None:
    if "archiv " in text:
        assert problem in str(project(tmp_path, text, header).warnings[0])
        return
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, text, header)
    assert problem in str(caught.value)
