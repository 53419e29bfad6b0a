"""The files of an import, written again and again: what was edited by hand stays.

A record keeps the digest of each file as an import wrote it. A file that still has it is ours to
update or to remove. One that has not was edited: it stays, and if dbt's side has changed as well,
that is a conflict, and the new text is put aside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from dagster_models.dbt.project.entry import BadDbtFile
from dagster_models.util.atomic_file import replace_file

#: In the project's folder: the record, and below `conflicts` the texts that were not written.
FOLDER = ".dagster_models_import"
_RECORD = "record.json"
_VERSION = 1


@dataclass
class WrittenFiles:
    """Paths below the folder. ``kept``: edited by hand, and dbt's side is as it was; ``conflicts``:
    edited on both sides, or not of an import; ``left``: gone in dbt, and edited here."""

    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def paths(self) -> dict[str, tuple[str, ...]]:
        """What became of the files -> their paths, without what became of none."""
        found = {it.name: tuple(getattr(self, it.name)) for it in fields(self)}
        return {name: paths for name, paths in found.items() if paths}

    def counts(self) -> Iterator[tuple[str, int]]:
        for name, paths in self.paths().items():
            yield name, len(paths)


def write_files(into: Path, files: Mapping[str, str | bytes], accept: bool) -> WrittenFiles:
    """Write what may be written. *accept*: files that were edited by hand settle their conflicts.

    Raises:
        BadDbtFile: the record is not one.
        OSError: a file cannot be read or written.
    """
    record = _read(into)
    done = WrittenFiles()
    digests: dict[str, str] = {}
    for path, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        digests[path] = _write(into, path, data, record.get(path), accept, done)
    for path in sorted(record.keys() - files.keys()):
        if not _remove(into, path, record[path], done):
            digests[path] = record[path]
    text = json.dumps({"version": _VERSION, "files": digests}, indent=1, sort_keys=True)
    replace_file(into / FOLDER / _RECORD, f"{text}\n")
    return done


def _write(
    into: Path, path: str, data: bytes, recorded: str | None, accept: bool, done: WrittenFiles
) -> str:
    """Write one file, and return the digest for the record."""
    file, aside = into / path, into / FOLDER / "conflicts" / path
    digest, found = _digest(data), _digest_of(file)
    if found == digest:
        done.same.append(path)
    elif found is None and recorded is None:
        done.new.append(path)
        _put(file, data)
    elif found is not None and found == recorded:
        done.updated.append(path)
        _put(file, data)
    elif digest == recorded or (accept and recorded is not None):
        done.kept.append(path)
    else:
        done.conflicts.append(path)
        _put(aside, data)
        return recorded or ""
    if recorded is not None:  # an earlier import may have put a text aside
        aside.unlink(missing_ok=True)
    return digest


def _remove(into: Path, path: str, recorded: str, done: WrittenFiles) -> bool:
    """Remove a file that dbt no longer has; False if it stays."""
    file = into / path
    found = _digest_of(file)
    if found is None:
        return True
    if found != recorded:
        done.left.append(path)
        return False
    file.unlink()
    done.removed.append(path)
    for folder in file.parents:
        if folder == into or any(folder.iterdir()):
            break
        folder.rmdir()
    return True


def _put(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except FileNotFoundError:  # the first file of its folder
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(file: Path) -> str | None:
    return _digest(file.read_bytes()) if file.is_file() else None


def _read(into: Path) -> Mapping[str, str]:
    file = into / FOLDER / _RECORD
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["version"] != _VERSION:
            raise BadDbtFile(f"{file} was written by another version of this command")
        return {str(path): str(digest) for path, digest in found["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDbtFile(f"{file} is no record of an import: {error}") from error
