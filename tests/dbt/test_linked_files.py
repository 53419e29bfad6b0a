"""Files that sources are: a path of dbt's project leads to them from ours, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dagster_models.dbt.project.linked_files import is_led_to, links_to_files
from dbt_cases import manifest_of, step


def source(written: str) -> dict[str, Any]:
    return {
        "unique_id": "source.shop.raw.x",
        "source_name": "raw",
        "name": "x",
        "package_name": "shop",
        "schema": "raw",
        "original_file_path": "models/s.yml",
        "relation_name": written,
        "resource_type": "source",
        "database": "dev",
        "config": {},
    }


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name in ("data/x.csv", "data/in/y.csv", "seeds/z.csv", "top.csv"):
        file = tmp_path / "shop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("id\n7\n")
    (tmp_path / "our s").mkdir()
    return tmp_path / "shop"


@pytest.mark.parametrize(
    ("written", "links", "led"),
    [
        ("'data/x.csv'", {"data"}, True),
        ("'./data/in/*.csv'", {"data"}, True),
        ("read_csv('data/x.csv', nullstr='./top.csv')", {"data"}, True),
        ("'top.csv'", {"top.csv"}, True),
        ("'/abs/x.csv'", set(), True),
        ("read_csv('s3://b/x.csv')", set(), True),
        ("'seeds/z.csv'", set(), False),  # which would be a seed of ours
        ("'none/x.csv'", set(), False),
        ("'../x.csv'", set(), False),
        ("'*.csv'", set(), False),
    ],
)
def test_a_link_leads_to_a_file_of_dbts(
    shop: Path, written: str, links: set[str], led: bool
) -> None:
    manifest = manifest_of(shop, sources={"source.shop.raw.x": source(written)})
    into = shop.with_name("our s")
    found = links_to_files(manifest, into)
    assert {name: f"../shop/{name}" for name in links} == found
    of = manifest.sources["source.shop.raw.x"]
    assert is_led_to(of, manifest, into) == led
    for name, place in found.items():
        os.symlink(place, into / name)
        assert (into / name).samefile(shop / name)
        assert is_led_to(of, manifest, into), "a second import"
        (into / name).unlink()
        (into / name).mkdir()
        assert not is_led_to(of, manifest, into), "somebody else's"
        assert links_to_files(manifest, into) == {}


@pytest.mark.parametrize(
    ("written", "links", "led"),
    [
        ("read_csv(['data/x.csv', './top.csv'], nullstr='none')", {"data", "top.csv"}, True),
        ("read_csv( [ 'data/x.csv','none/y.csv' ])", {"data"}, False),
    ],
)
def test_links_lead_to_each_path_of_a_list(
    shop: Path, written: str, links: set[str], led: bool
) -> None:
    manifest = manifest_of(shop, sources={"source.shop.raw.x": source(written)})
    into = shop.with_name("our s")
    assert links_to_files(manifest, into).keys() == links
    assert is_led_to(manifest.sources["source.shop.raw.x"], manifest, into) == led


def test_a_project_that_is_written_beside_dbts_own_files_has_them(shop: Path) -> None:
    manifest = manifest_of(shop, sources={"source.shop.raw.x": source("'data/x.csv'")})
    assert links_to_files(manifest, shop) == {}
    assert is_led_to(manifest.sources["source.shop.raw.x"], manifest, shop)


def test_an_import_makes_the_link_and_names_what_it_cannot_lead_to(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {f"source.shop.raw.{it}": source(f"'{it}/x.csv'") for it in ("data", "none")}
    for unique_id, it in both.items():
        it |= {"unique_id": unique_id, "name": unique_id.rpartition(".")[2]}
    text = "select * from {{ source('raw', 'data') }}"
    model = step("a", *both, raw_code=text, language="sql")
    manifest_of(shop, model, sources=both)
    for _ in range(2):
        assert main(["import-dbt", str(shop)]) == 0
        out = capsys.readouterr().out
        assert "Link to the files of sources: data -> ../shop/data\n" in out
        assert "Sources whose files no path here leads to: raw.none: copy or link the file" in out
    assert (shop.with_name("shop_models") / "data/x.csv").read_text() == "id\n7\n"
