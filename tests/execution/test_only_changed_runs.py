"""Real runs with ``only_changed``: every place says "unchanged", and Dagster no falsehood."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.cli.main import main
from dagster_models.execution.options import ONLY_CHANGED_TAG, Options
from running import make_project

ONLY_CHANGED = {"only_changed": True}


def test_what_each_place_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(
        tmp_path,
        {
            "seeds/s.csv": "k,v\n1,2\n",
            "models/m/a.sql": "/* @model\nmaterialized: view\n*/\nselect k, v from s",
            "models/m/b.sql": "/* @model\ncolumns: {k: {checks: [unique]}}\n*/\nselect k, v from a",
            "models/m/c.sql": "select k, v from b",
            "models/m/p.py": "def model(warehouse):\n    return [{'n': 1}]\n",
            "models/m/q.py": '"""\n@model\ndeterministic: true\n"""\n\n\n'
            "def model(warehouse):\n    return [{'n': 1}]\n",
        },
    )
    first = project.run(ONLY_CHANGED)
    assert first.code == 0, first.stdout
    assert set(first.states().values()) == {"succeeded"}

    project.write({"models/m/c.sql": "select k, cast('x' as integer) as v from b"})
    second = project.run(ONLY_CHANGED)
    assert second.code == 1
    left_alone = {"seeds.s", "m.a", "m.b", "m.q"}
    expected = dict.fromkeys(left_alone, "unchanged") | {"m.c": "failed", "m.p": "succeeded"}
    assert second.states() == expected
    assert second.statuses() == dict.fromkeys("sabq", "no-op") | {"c": "error", "p": "success"}
    steps = {name.replace(".", "__") for name in left_alone}
    assert second.of_type("STEP_SKIPPED") == steps
    assert second.of_type("ASSET_OBSERVATION") == {*steps, "m__c"}, "what became of each"
    assert second.of_type("ASSET_MATERIALIZATION") == {"m__p"}
    assert second.of_type("STEP_FAILURE") == {"m__c"}
    assert second.of_type("ASSET_CHECK_EVALUATION") == {"m__b"}
    assert "Only what has changed: 4 of 6 steps left alone" in second.stdout
    assert second.stdout.count("UNCHANGED") == 5, "a line for each, and the totals"
    assert "PASS=1 WARN=0 ERROR=1 SKIP=0 CANCEL=0 UNCHANGED=4 TOTAL=6" in second.stdout
    (of_p,) = (it for it in second.results["results"] if it["unique_id"] == "model.test.p")
    assert "see `deterministic`" in of_p["adapter_response"]["built_because"]

    assert main(["--project", str(project.root), "explain", "last", "m.b"]) == 0
    assert "unchanged since run" in capsys.readouterr().out
    assert main(["--project", str(project.root), "explain", "last", "m.p"]) == 0
    assert "was built, as a python file may depend on anything" in capsys.readouterr().out

    project.write({"models/m/c.sql": "select k, v + 1 as v from b"})
    again = project.run_again_from_failure()
    assert again.states() == {"m.c": "succeeded"}, "what was left alone is not run again"
    assert project.rows("select v from m.c") == [(3,)]

    fourth = project.run(ONLY_CHANGED)
    assert fourth.states() == dict.fromkeys([*left_alone, "m.c"], "unchanged") | {
        "m.p": "succeeded"
    }, "the re-execution has recorded what it read of steps that it did not build"


def test_the_tag_goes_before_the_run_config() -> None:
    options = Options(only_changed=True)
    assert options.only_changed_of({})
    assert not options.only_changed_of({ONLY_CHANGED_TAG: "false"})
    assert Options().only_changed_of({ONLY_CHANGED_TAG: "True"})
    with pytest.raises(ValueError, match="is 'maybe'; it may be true or false"):
        options.only_changed_of({ONLY_CHANGED_TAG: "maybe"})
