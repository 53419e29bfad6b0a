"""The results of runs reach the store that DAGSTER_MODELS_STORE names, whole, and cost no run its
status."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cloud_stores import BUCKET, started_cloud, why_no_cloud
from dagster_models.execution import results_store
from dagster_models.execution.results_store import (
    STORE_VARIABLE,
    ResultsStore,
    store_results,
    will_be_stored,
)
from dagster_models.reporting.journal import Journal
from object_store import started_store, why_no_store
from results_examples import FAILED, HEADER, OK, SKIPPED
from running import ENDLESS, make_project

RUN = (OK, FAILED, SKIPPED)
FILES = {"journal.jsonl", "run_results.json", "report.html", "manifest.json"}
MODELS = {"models/a.sql": "select 1 as n", "models/b.sql": "select error('no') as n from a"}
Read = Callable[[str], dict[str, bytes]]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A target folder, whose runs are stored in fsspec's memory."""
    monkeypatch.setenv(STORE_VARIABLE, "memory://results")
    yield tmp_path / "target"
    MemoryFileSystem.store.clear()


def leave_run(target: Path, run_id: str, *, ended: bool = True) -> None:
    """What a run leaves, or one that was killed."""
    will_be_stored(target, run_id)
    with Journal(target, replace(HEADER, run_id=run_id)) as journal:
        for result in RUN:
            journal.step(result)
        if ended:
            journal.end("failure", RUN, 3.0)


def stored(run_id: str) -> dict[str, bytes]:
    """The files of a run in the memory."""
    system, folder = MemoryFileSystem(), f"/results/{HEADER.project}/{run_id}/"
    return {it.removeprefix(folder): system.cat(it) for it in system.find(folder)}


def refuse_unsound(files: Mapping[str, bytes], status: str, run_id: str) -> None:
    """All of it is there, and is what the manifest says."""
    assert set(files) == FILES
    manifest = json.loads(files["manifest.json"])
    assert (manifest["status"], manifest["run_id"]) == (status, run_id)
    assert manifest["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
        if name != "manifest.json"
    }
    results = json.loads(files["run_results.json"])
    assert results["metadata"]["invocation_id"] == run_id
    assert len(results["results"]) >= 2
    assert run_id[:8] in files["report.html"].decode()


def test_a_run_is_stored_and_its_manifest_last(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, pipe_file = list[str](), MemoryFileSystem.pipe_file

    def piped(self: Any, path: str, *more: Any, **named: Any) -> Any:
        order.append(path.rpartition("/")[2])
        return pipe_file(self, path, *more, **named)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", piped)
    leave_run(target, "one")
    notes = list[str]()
    store_results(target, tmp_path, "one", notes.append)
    assert notes == []
    assert order[-1] == "manifest.json"
    assert sorted(order) == sorted(FILES)
    refuse_unsound(stored("one"), "failure", "one")
    assert not list(target.rglob("*.unstored"))


def test_a_run_that_was_killed_is_stored_by_the_next(target: Path, tmp_path: Path) -> None:
    leave_run(target, "killed", ended=False)
    for run_id in ("two", "three"):
        leave_run(target, run_id)
        store_results(target, tmp_path, run_id, pytest.fail)
        refuse_unsound(stored(run_id), "failure", run_id)
        refuse_unsound(stored("killed"), "not ended", "killed")
    MemoryFileSystem().rm("/results", recursive=True)
    leave_run(target, "four")
    store_results(target, tmp_path, "four", pytest.fail)
    assert not stored("killed"), "it has not gone on, so it is not stored again"
    leave_run(target, "killed")  # another machine went on with it
    store_results(target, tmp_path, "killed", pytest.fail)
    refuse_unsound(stored("killed"), "failure", "killed")


def test_a_run_whose_journal_was_removed_leaves_nothing(target: Path, tmp_path: Path) -> None:
    leave_run(target, "old")
    (target / "runs" / "old.jsonl").unlink()
    leave_run(target, "one")
    store_results(target, tmp_path, "one", pytest.fail)
    assert os.listdir(target / "runs") == ["one.jsonl"]


def test_an_earlier_run_of_which_no_files_can_be_made_keeps_no_other(
    target: Path, tmp_path: Path
) -> None:
    for run_id in ("old", "odd", "new"):
        leave_run(target, run_id)
    odd = target / "runs" / "odd.jsonl"
    odd.write_text(odd.read_text().replace('"seconds": ', '"seconds": "", "ended_at": "", "_": '))
    notes = list[str]()
    store_results(target, tmp_path, "new", notes.append)
    refuse_unsound(stored("new"), "failure", "new")
    refuse_unsound(stored("old"), "failure", "old")
    assert [note.partition(":")[0] for note in notes] == ["WARNING"]
    assert "the results of the run odd are not stored" in notes[0]


def test_a_run_that_goes_on_stores_itself(target: Path, tmp_path: Path) -> None:
    will_be_stored(target, "going")
    with Journal(target, replace(HEADER, run_id="going")):
        leave_run(target, "other")
        store_results(target, tmp_path, "other", pytest.fail)
        assert not stored("going")


def test_what_a_store_did_not_take_is_stored_by_the_next_run(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_run(target, "one")
    (tmp_path / "file").touch()
    notes = list[str]()
    monkeypatch.setenv(STORE_VARIABLE, f"file://{tmp_path}/file/below")
    store_results(target, tmp_path, "one", notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("WARNING: the results are not stored: ")
    monkeypatch.setenv(STORE_VARIABLE, f"file://{tmp_path}/store/")
    leave_run(target, "two")
    store_results(target, tmp_path, "two", pytest.fail)
    for run_id in ("one", "two"):
        folder = tmp_path / "store" / HEADER.project / run_id
        files = {it.name: it.read_bytes() for it in folder.iterdir()}
        refuse_unsound(files, "failure", run_id)


def test_a_store_that_does_not_answer_does_not_keep_the_run(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(results_store, "_MOST_SECONDS", 0.05)
    monkeypatch.setattr(ResultsStore, "put", lambda *_: answer.wait(60))
    leave_run(target, "one")
    notes = list[str]()
    store_results(target, tmp_path, "one", notes.append)
    answer.set()
    assert "no answer within" in notes[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:hunter2@bucket/x", "it has credentials in it"),
        ("az://bucket/x?sig=hunter2", "it has credentials in it"),
        ("s3://key:hunter2/hunter2@bucket/x", "it has credentials in it"),
        ("simplecache::memory://key:hunter2@x", "it has credentials in it"),
        ("bucket/x", "bucket/x is no URL"),
        ("s3:bucket/x", "s3:bucket/x is no URL"),
        ("file://mnt/x", "file://mnt/x is below the current folder. Write file:///folder"),
        ("nosuch://bucket", "nosuch"),
    ],
)
def test_a_url_that_is_none_is_a_warning(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, url)
    monkeypatch.chdir(tmp_path)
    leave_run(target, "one")
    notes = list[str]()
    store_results(target, tmp_path, "one", notes.append)
    assert os.listdir() == ["target"]
    assert said in notes[0]
    assert "hunter2" not in notes[0]


_SAS = "sv=2024-08-04&ss=b&sig=hunter2%2Bhunter2%3D"


@pytest.mark.parametrize(
    ("variable", "value", "error", "shown"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2", "the key hunter2hunter2", "the key ***"),
        # An answer may quote the URL of the request, whose parts are in another order.
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            f"BlobEndpoint=https://a.example/b;SharedAccessSignature={_SAS}",
            "no /b/c?sig=hunter2%2Bhunter2%3D&ss=b, hunter2+hunter2=",
            "no /b/c?sig=***&ss=b, ***",
        ),
        ("AZURE_STORAGE_SAS_TOKEN", f"?{_SAS}", "/b?sig=hunter2%2Bhunter2%3D", "/b?sig=***"),
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "AccountName=accounts;AccountKey=aHVudGVy/Mg==;EndpointSuffix=a.example",
            "accounts has not the key aHVudGVy/Mg==",
            "accounts has not the key ***",
        ),
    ],
    ids=["a key", "a signature", "a token", "the key of an account"],
)
def test_no_warning_shows_a_secret(
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    error: str,
    shown: str,
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(error)

    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(ResultsStore, "put", refused)
    leave_run(target, "one")
    notes = list[str]()
    store_results(target, tmp_path, "one", notes.append)
    assert notes == [f"WARNING: the results are not stored: {shown}"]


def test_a_real_run_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORE_VARIABLE, f"file://{tmp_path}/store")
    report = make_project(tmp_path, MODELS).run()
    assert report.states() == {"main.a": "succeeded", "main.b": "failed"}
    assert report.journal is not None
    assert report.journal.header is not None
    run_id = report.journal.header.run_id
    files = {it.name: it.read_bytes() for it in (tmp_path / "store/test" / run_id).iterdir()}
    refuse_unsound(files, "failure", run_id)
    assert json.loads(files["run_results.json"]) == report.results
    assert b"select 1 as n" in files["run_results.json"], "the SQL that was sent"


@pytest.mark.nightly
def test_a_store_that_fails_changes_no_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, "file:///proc/nothing")
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"})
    report = project.run()
    assert report.code == 0
    assert project.status() == "SUCCESS"
    assert "WARNING: the results are not stored" in report.stdout


@pytest.mark.nightly
def test_a_run_that_was_killed_is_stored_by_the_next_real_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, f"file://{tmp_path}/store")
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n", "models/b.sql": ENDLESS})
    run = project.start(start_new_session=True)
    assert run.stdout is not None
    for line in run.stdout:
        if "main.a" in line and "OK" in line:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    project.write({"models/b.sql": "select 2 as n"})
    assert project.run().code == 0
    found = [json.loads(it.read_text()) for it in tmp_path.rglob("manifest.json")]
    assert sorted(it["status"] for it in found) == ["not ended", "success"]


@pytest.mark.nightly
def test_a_run_is_stored_in_s3(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    if why := why_no_store():
        pytest.skip(why)
    with started_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
        monkeypatch.setenv(STORE_VARIABLE, f"s3://{store.bucket}/results")
        leave_run(target, "one")
        store_results(target, tmp_path, "one", pytest.fail)
        place = f"results/{HEADER.project}/one"
        assert store.objects() == sorted(f"{place}/{name}" for name in FILES)
        import s3fs

        system = s3fs.S3FileSystem()
        files = {name: system.cat(f"{store.bucket}/{place}/{name}") for name in FILES}
        refuse_unsound(files, "failure", "one")


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ["az", "gs"])
def test_a_run_is_stored_in_an_emulated_cloud(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    if why := why_no_cloud(scheme):
        pytest.skip(why)
    with started_cloud(scheme) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(STORE_VARIABLE, f"{scheme}://{BUCKET}/results")
        leave_run(target, "one")
        place = f"{BUCKET}/results/{HEADER.project}/one"
        for _ in range(2):  # a run that goes on is stored once more
            store_results(target, tmp_path, "one", pytest.fail)
            system = fsspec.filesystem(scheme, skip_instance_cache=True)
            assert sorted(system.find(BUCKET)) == sorted(f"{place}/{name}" for name in FILES)
            files = {name: system.cat(f"{place}/{name}") for name in FILES}
            refuse_unsound(files, "failure", "one")
