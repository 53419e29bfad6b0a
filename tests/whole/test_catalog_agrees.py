"""A text with the columns of dbt's catalog is what dbt compiles, token by token.

It needs dbt: see tests/support/real_dbt.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dagster_models.cli.main import main
from real_dbt import PYTHON, needs_dbt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    needs_dbt,
]
FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: dev.duckdb}}}\n",
    "macros/star.sql": "{% macro star(of, but) %}{% for it in adapter.get_columns_in_relation(of)"
    " if it.name not in but %}{{ adapter.quote(it.name) }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}{% endmacro %}",
    "seeds/raw.csv": "z,Paid,at it,a\n1,2,3,4\n",
    "models/view.sql": 'select *, 1 as "Ünder", a as A2 from {{ ref("raw") }}',
    "models/all.sql": "select {{ star(ref('raw'), []) }} from {{ ref('raw') }}",
    "models/some.sql": "select {{ star(ref('view'), ['z', 'a']) }} from {{ ref('view') }}",
    "models/next.sql": "select {{ star(ref('some'), []) }} from {{ ref('some') }}",
}


def test_texts_are_those_that_dbt_compiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, text in FILES.items():
        file = tmp_path / "shop" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for words in (["build"], ["docs", "generate"]):
        command = [PYTHON, "-m", "dbt.cli.main", *words, "--profiles-dir", "."]
        environ = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        done = subprocess.run(
            command, cwd=tmp_path / "shop", env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    monkeypatch.chdir(tmp_path)
    assert main(["import-dbt", "shop", "--verify"]) == 0
    assert "Texts beside what dbt has compiled: 4 equal" in capsys.readouterr().out
    report = json.loads(Path("shop_models/.dagster_models_import/report.json").read_text())
    ways = {it["unique_id"].split(".")[-1]: it["way"] for it in report["models"]}
    assert ways == {"view": "source", "all": "rendered", "some": "rendered", "next": "rendered"}
