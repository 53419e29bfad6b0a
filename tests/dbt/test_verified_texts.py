"""`import-dbt --verify`: what was written, beside what a real dbt has compiled of the same project,
with is_incremental() true and false (tests/data/dbt_shop)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from tests.dbt.conftest import SHOP

Texts = dict[str, dict[str, Any]]


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """A manifest of what dbt compiles when the tables are there."""
    texts = json.loads((SHOP / "incremental.json").read_text())
    file = tmp_path / "later.json"
    file.write_text(json.dumps({"nodes": {k: {"compiled_code": it} for k, it in texts.items()}}))
    return file


def verified(capsys: pytest.CaptureFixture[str], shop: Path, *options: str) -> tuple[int, Texts]:
    """The exit code, and each model's result by its name."""
    code = main(["import-dbt", str(shop), "--verify", "--json", *options])
    texts = json.loads(capsys.readouterr().out)["verification"]["texts"]
    return code, {it["unique_id"].rpartition(".")[2]: it for it in texts}


def test_each_text_is_dbts_and_an_incremental_one_in_both_readings(
    shop: Path, later: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = verified(capsys, shop, "--compiled", str(later))
    assert code == 0
    both = ["build in full", "later build"]
    for name in ("orders", "events", "amounts"):
        assert (found[name]["state"], found[name]["sides"]) == ("equal", both)
    others = {name for name, it in found.items() if it["state"] != "equal"}
    assert others == {"script"}  # in Python
    page = (shop.with_name("shop_models") / ".dagster_models_import/report.html").read_text()
    assert "build in full and later build" in page


def test_one_side_alone_is_reported(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verified(capsys, shop)
    assert (code, found["orders"]["sides"]) == (0, ["build in full"])
    assert "text of a later build was not compared" in found["orders"]["what"]
    assert found["stg_orders"]["what"] == ""
    assert main(["import-dbt", str(shop), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "12 equal, 1 not compared" in shown
    assert "one side of is_incremental() alone: models/marts/" in shown


@pytest.mark.parametrize(
    ("name", "old", "new", "side"),
    [
        ("orders", "since: ordered_at", "since: order_id", "later build"),
        ("orders", "ordered_at > $since", "ordered_at >= $since", "later build"),
        ("customers", "stg_orders", "raw_orders", "build in full"),
    ],
)
def test_what_is_edited_differs_with_its_place(
    shop: Path,
    later: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    old: str,
    new: str,
    side: str,
) -> None:
    assert main(["import-dbt", str(shop)]) == 0
    file = next(shop.with_name("shop_models").glob(f"models/**/{name}.sql"))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    capsys.readouterr()
    code, found = verified(capsys, shop, "--compiled", str(later))
    assert (code, found[name]["state"]) == (1, "differs")
    assert side not in found[name]["sides"]
    assert "and dbt has `" in found[name]["what"]
    assert "the file was edited here" in found[name]["what"]
    assert {it for it, of in found.items() if of["state"] == "differs"} == {name}


def test_a_path_that_dbt_has_not_written_is_an_error(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--verify", "--compiled", str(tmp_path / "nothing")]
    assert main(["import-dbt", str(shop), *options]) == 1
    assert "neither a manifest.json nor a target folder" in capsys.readouterr().err
