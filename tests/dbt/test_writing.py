"""An import that is repeated: what was edited by hand stays; what dbt alone changed is updated."""

from __future__ import annotations

from pathlib import Path

from dagster_models.dbt.writing import WrittenFiles, write_files


def write(into: Path, accept: bool = False, **texts: str) -> WrittenFiles:
    return write_files(into, {f"models/{name}.sql": text for name, text in texts.items()}, accept)


def text(into: Path, name: str) -> str:
    return (into / f"models/{name}.sql").read_text()


def test_what_only_dbt_changed_is_updated_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    assert write(tmp_path, a="1", b="1", c="1").paths().keys() == {"new"}
    done = write(tmp_path, a="2", b="1")
    assert done.paths() == {
        "updated": ("models/a.sql",),
        "same": ("models/b.sql",),
        "removed": ("models/c.sql",),
    }
    assert (text(tmp_path, "a"), (tmp_path / "models/c.sql").exists()) == ("2", False)


def test_an_edited_file_stays_and_is_a_conflict_only_if_dbt_changed_it_too(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="1")
    (tmp_path / "models/a.sql").write_text("mine")
    assert write(tmp_path, a="1", b="1").kept == ["models/a.sql"]
    for _ in range(2):  # until it is settled
        done = write(tmp_path, a="2", b="1")
        assert (done.conflicts, text(tmp_path, "a")) == (["models/a.sql"], "mine")
    aside = tmp_path / ".dagster_models_import/conflicts/models/a.sql"
    assert aside.read_text() == "2"
    assert write(tmp_path, accept=True, a="2", b="1").kept == ["models/a.sql"]
    assert write(tmp_path, a="2", b="1").kept == ["models/a.sql"]
    assert not aside.exists()


def test_an_edited_file_that_dbt_no_longer_has_is_left(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="1")
    (tmp_path / "models/a.sql").write_text("mine")
    (tmp_path / "models/b.sql").unlink()
    for _ in range(2):
        done = write(tmp_path)
        assert (done.left, done.removed) == (["models/a.sql"], [])
    assert text(tmp_path, "a") == "mine"


def test_a_file_that_no_import_wrote_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.sql").write_text("mine")
    assert write(tmp_path, accept=True, a="1").conflicts == ["models/a.sql"]
    assert text(tmp_path, "a") == "mine"


def test_a_file_that_was_deleted_by_hand_stays_deleted(tmp_path: Path) -> None:
    write(tmp_path, a="1")
    (tmp_path / "models/a.sql").unlink()
    assert write(tmp_path, a="1").kept == ["models/a.sql"]
    assert write(tmp_path, a="2").conflicts == ["models/a.sql"]
    assert not (tmp_path / "models/a.sql").exists()
