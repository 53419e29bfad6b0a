"""A run's results in an object store, or in another folder: for machines whose disk ends with the
run.

``DAGSTER_MODELS_STORE`` is a URL that fsspec knows: ``s3://bucket/results``. At the end of a run
its files are stored under ``<URL>/<project>/<run id>/``::

    journal.jsonl  run_results.json  report.html  manifest.json

The manifest is stored last: it has the size and the digest of each of the others, so whoever finds
it whole has all of them. Beside the journal of a run stands the file ``<run id>.unstored``, until
its end is in the store. A run that was killed, and one whose store could not be reached, is stored
by the next run that has the same folder.

Nothing of this changes the status of a run: what fails is a warning.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from dagster_models.reporting.explain import explain
from dagster_models.reporting.journal import (
    JournalContents,
    is_open,
    journal_path,
    journals,
    read_journal,
)
from dagster_models.reporting.past_runs import source_as_built
from dagster_models.reporting.run_results import write_run_results
from dagster_models.util.secrets import without

#: The environment variable with the URL.
STORE_VARIABLE = "DAGSTER_MODELS_STORE"

#: How long the end of a run waits for the store.
_MOST_SECONDS = 60.0
_MANIFEST, _RESULTS = "manifest.json", "run_results.json"
#: A user and a password; a password may have a slash.
_CREDENTIALS = re.compile(r"//[^/].*:.*@")
#: Variables with such names hold what nobody is shown.
_SECRET_WORDS = ("SECRET", "TOKEN", "PASSWORD", "KEY", "CONNECTION_STRING")
#: What is secret in the value of one for Azure. A URL has the signature, and not the whole value.
_SECRET_PARTS = re.compile(r"(?:\bAccountKey|\bsig)=([^;&]+)", re.IGNORECASE)

Files = dict[str, bytes]


class ResultsStore:
    """The place of a URL.

    Raises:
        ValueError: the URL has credentials in it, or names no store.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if _CREDENTIALS.search(url) or parts.query:
            raise ValueError(
                "it has credentials in it. Leave them out: each kind of store takes its own from"
                " the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if "://" not in url:  # fsspec would take it for a folder below the current one
            raise ValueError(f"{url} is no URL. Write s3://bucket/folder, or file:///folder")
        if parts.scheme in ("file", "local") and parts.netloc:  # the same
            raise ValueError(f"{url} is below the current folder. Write file:///folder")
        self.url = url.rstrip("/")

    def put(self, place: str, files: Files) -> None:
        """Store the files under a place, the manifest last. May raise any exception."""
        from fsspec.core import url_to_fs  # 0.2 s, and s3fs as long again

        system, path = url_to_fs(f"{self.url}/{place}")
        if "file" in (system.protocol, *system.protocol):
            system.makedirs(path, exist_ok=True)  # in an object store this may make a bucket
        for name, data in sorted(files.items(), key=lambda it: it[0] == _MANIFEST):
            system.pipe_file(f"{path}/{name}", data)


def will_be_stored(target_folder: Path, run_id: str) -> None:
    """Remember that a run is not in the store yet."""
    if os.environ.get(STORE_VARIABLE):
        path = _unstored(target_folder, run_id)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def store_results(
    target_folder: Path, root: Path, run_id: str, note: Callable[[str], None]
) -> None:
    """Store a run that has ended, and earlier ones of the folder that are not stored yet.

    Args:
        target_folder: the project's, with its journals.
        root: the folder of the project.
        note: prints a line.
    """
    url = os.environ.get(STORE_VARIABLE)
    if not url:
        return
    failed: dict[str, Exception] = {}

    def store() -> None:
        for each in (run_id, *_earlier(target_folder, run_id)):
            try:
                _store_run(ResultsStore(url), target_folder, root, each)
            except Exception as error:  # whatever a store or its client raises
                failed[each] = error
                if each == run_id:
                    return  # else the store takes runs, and only this one has no files

    # A store that does not answer must not keep the run.
    storing = threading.Thread(target=store, name="results store", daemon=True)
    storing.start()
    storing.join(_MOST_SECONDS)
    if storing.is_alive():
        note(f"WARNING: the results are not stored: no answer within {_MOST_SECONDS:.0f} s")
        return
    for each, error in failed.items():
        what = "the results" if each == run_id else f"the results of the run {each}"
        note(f"WARNING: {what} are not stored: {_shown(error)}")


def _shown(error: Exception) -> str:
    """The error without what nobody is shown."""
    if isinstance(error, ImportError):
        return f"{error}. `pip install 'dagster-models[store]'` installs what S3 needs"
    hidden = {
        value
        for name, value in os.environ.items()
        if len(value) > 5 and any(word in name.upper() for word in _SECRET_WORDS)
    }
    parts = {part for value in hidden for part in _SECRET_PARTS.findall(value)}
    hidden |= parts | {unquote(part) for part in parts}
    said = f"{STORE_VARIABLE}: {error}" if isinstance(error, ValueError) else str(error)
    return without(said or type(error).__name__, hidden)


def _earlier(target_folder: Path, run_id: str) -> Iterator[str]:
    """The runs with a journal that are not stored, or have gone on since. One that goes on here
    stores itself. A run whose journal was removed, as old ones are, is forgotten."""
    for marker in _unstored(target_folder, run_id).parent.glob("*.unstored"):
        if not marker.with_suffix(".jsonl").exists():
            with contextlib.suppress(OSError):
                marker.unlink()
    for journal in journals(target_folder):
        marker = _unstored(target_folder, journal.stem)
        with contextlib.suppress(OSError, ValueError):
            stored = int(marker.read_text() or 0)
            changed = journal.stem != run_id and journal.stat().st_size != stored
            if changed and not is_open(journal):
                yield journal.stem


def _store_run(place: ResultsStore, target_folder: Path, root: Path, run_id: str) -> None:
    journal = journal_path(target_folder, run_id)
    data = journal.read_bytes()
    contents = read_journal(journal)
    if contents.header is None:  # it is damaged, or begins just now
        return
    files = files_of(contents, data, target_folder, root)
    place.put(f"{contents.header.project}/{run_id}", files)
    marker = _unstored(target_folder, run_id)
    if contents.end is not None:
        marker.unlink(missing_ok=True)
    else:  # it was killed; if another machine goes on with it, that one stores its end
        marker.write_text(str(len(data)))


def files_of(contents: JournalContents, journal: bytes, target_folder: Path, root: Path) -> Files:
    """The files of a run, by name; its journal has a header."""
    from dagster_models.pages.run_report import run_report  # few runs have a store

    header, explanation = contents.header, explain(contents)
    assert header is not None
    files = {"journal.jsonl": journal, _RESULTS: _results(contents, target_folder)}
    if explanation is not None:
        page = run_report(explanation, header, contents.steps, source_as_built(root))
        files["report.html"] = page.encode()
    manifest = {
        "run_id": header.run_id,
        "project": header.project,
        "target": header.target,
        "status": contents.end.status if contents.end is not None else "not ended",
        "files": {name: _described(data) for name, data in sorted(files.items())},
    }
    files[_MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    return files


def _described(data: bytes) -> Mapping[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _results(contents: JournalContents, target_folder: Path) -> bytes:
    """run_results.json of the run: that of the folder, or, if it is of another run, made of the
    journal, which has no SQL."""
    assert contents.header is not None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data = (target_folder / _RESULTS).read_bytes()
        if json.loads(data)["metadata"]["invocation_id"] == contents.header.run_id:
            return data
    last = max((it.ended_at or 0.0 for it in contents.steps), default=contents.header.started_at)
    seconds = contents.end.seconds if contents.end else last - contents.header.started_at
    with TemporaryDirectory() as folder:
        path = Path(folder, _RESULTS)
        write_run_results(
            path, contents.steps, header=contents.header, seconds=seconds, generated_at=last
        )
        return path.read_bytes()


def _unstored(target_folder: Path, run_id: str) -> Path:
    return journal_path(target_folder, run_id).with_suffix(".unstored")
