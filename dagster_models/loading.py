"""A project, loaded fast: what was parsed before is remembered, the rest is parsed on all cores.

    core.project.load ── all SQL texts ──> parse ahead ── known ──> <project>/target/parsed.cache
                                             └── new ──> parse_worker.py, a process per core

The cache is addressed by contents: the key of an entry is a hash of the text and its dialect, and
the file as a whole bears a stamp of the code that made it (ours, sqlglot's version, Python's), so
an entry is right or is not found. The file is replaced in one rename: of two loaders at once the
later one's stays, and what a damaged or lost cache costs is time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_models.core import project as core_project
from dagster_models.core.compiled import Text, remember
from dagster_models.core.lineage import trace
from dagster_models.core.model import Project, Source
from dagster_models.core.parsed import ParsedSql
from dagster_models.core.traced import ColumnProblem, Schema, Trace, TracedColumn, Upstream
from dagster_models.parse_worker import parse

CACHE_FILE = "target/parsed.cache"
TRACES_FILE = "target/traces.cache"

#: Fewer texts are parsed sooner than a process starts.
TEXTS_PER_PROCESS = 250


def load(
    path: str | os.PathLike[str], *, sources: Sequence[Source] = (), columns: bool = True
) -> Project:
    """``core.project.load``, fast. Raises ProjectError as that does.

    ``columns``: find out each step's columns and their lineage too.
    """
    traces = Traces(Path(path, TRACES_FILE))

    def parse_ahead(texts: Sequence[Text]) -> None:
        remember_all(texts, Path(path, CACHE_FILE))

    try:
        return core_project.load(
            path,
            sources=sources,
            parse_ahead=parse_ahead,
            tracer=traces.trace if columns else None,
        )
    finally:
        if columns:
            traces.save()


def remember_all(texts: Sequence[Text], file: Path) -> None:
    """Let ``parsed_text`` know all texts that parse: those that *file* knows, and the others too.

    Afterwards *file* holds these texts, and no others.
    """
    known = read_cache(file)
    wanted = {key_of(text): text for text in texts}
    entries: dict[str, bytes | None] = {}
    for key, text in wanted.items():
        entry = known.get(key)
        parsed = _parsed(entry) if entry is not None else None
        entries[key] = entry if parsed is not None else None
        if parsed is not None:
            remember(text, parsed)
    new = [key for key, entry in entries.items() if entry is None]
    for key, entry in zip(new, parse_all([wanted[key] for key in new]), strict=True):
        entries[key] = entry
        if entry is not None:
            remember(wanted[key], pickle.loads(entry))
    found = {key: entry for key, entry in entries.items() if entry is not None}
    if found.keys() != known.keys():
        write_cache(file, found)


# --- the cache -------------------------------------------------------------------------------


def key_of(text: Text) -> str:
    return hashlib.sha256(repr(text[1:]).encode() + text[0].encode("utf-8", "replace")).hexdigest()


@cache
def stamp() -> str:
    """What an entry rests on beside its text: the code that reads SQL."""
    digest = hashlib.sha256(f"{version('sqlglot')} {sys.version_info[:2]}".encode())
    for path in sorted(Path(core_project.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_cache(file: Path) -> Mapping[str, bytes]:
    """Key -> pickled ParsedSql; empty where there is no cache, or none that this code wrote."""
    try:
        found, entries = _Values(io.BytesIO(file.read_bytes())).load()
        if found == stamp() and all(isinstance(entry, bytes) for entry in entries.values()):
            return dict(entries)
    except Exception:  # whatever a damaged file makes of the unpickler: it is only a cache
        pass
    return {}


def write_cache(file: Path, entries: Mapping[str, bytes]) -> None:
    """Replace the file as a whole. Where it cannot be written the next load takes its time."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with open(descriptor, "wb") as new:
                pickle.dump((stamp(), dict(entries)), new, protocol=5)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise


class _Values(pickle.Unpickler):
    """Makes nothing but the values of a ParsedSql: a cache file must not be able to run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CLASSES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a parsed text")


_CLASSES = {
    ("builtins", "frozenset"),
    ("dagster_models.core.model", "Reference"),
    *(("dagster_models.core.parsed", name) for name in ("ParsedSql", "Placeholder", "Qualifier")),
}


def _parsed(entry: bytes) -> ParsedSql | None:
    try:
        found = _Values(io.BytesIO(entry)).load()
    except Exception:  # as above
        return None
    return found if isinstance(found, ParsedSql) else None


# --- columns --------------------------------------------------------------------------------


class Traces:
    """``lineage.trace``, remembered between loads: by its text, its dialect and the schemas of
    what it reads, so that a changed column upstream makes the trace of each reader anew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: Mapping[str, bytes] | None = None
        self._used: dict[str, bytes] = {}
        self._schemas: dict[int, tuple[Schema, str]] = {}  #: id -> itself, and what stands for it

    def trace(self, text: str, dialect: str, upstream: Mapping[str, Upstream]) -> Trace:
        if self._known is None:
            self._known = read_cache(self._file)
        key = self._key(text, dialect, upstream)
        entry = self._known.get(key)
        found = _trace(entry) if entry is not None else None
        if entry is None or found is None:
            found = trace(text, dialect, upstream)
            entry = pickle.dumps(_plain(found), protocol=5)
        self._used[key] = entry
        return found

    def save(self) -> None:
        """Keep what this load used, and nothing else."""
        if self._known is not None and self._used.keys() != self._known.keys():
            write_cache(self._file, self._used)

    def _key(self, text: str, dialect: str, upstream: Mapping[str, Upstream]) -> str:
        digest = hashlib.sha256(repr((dialect, text)).encode())
        for name, item in sorted(upstream.items()):
            digest.update(repr((name, item.key, self._schema(item.schema))).encode())
        return digest.hexdigest()

    def _schema(self, schema: Schema) -> str:
        """One model may have a thousand readers: its columns are written out once."""
        found = self._schemas.get(id(schema))
        if found is None:
            found = schema, hashlib.sha256(repr(schema).encode()).hexdigest()
            self._schemas[id(schema)] = found
        return found[1]


def _plain(found: Trace) -> tuple[Any, ...]:
    """A trace as nothing but tuples and texts, in the order of its fields."""
    columns = tuple((c.name, c.type, c.sources, c.reason, c.digest) for c in found.columns)
    problems = tuple((p.what, p.line, p.column, p.fix, p.certain) for p in found.problems)
    rest = (found.closed, found.certain, found.reason, found.rows, found.row_sources)
    return columns, problems, *rest


def _trace(entry: bytes) -> Trace | None:
    try:
        columns, problems, closed, certain, reason, rows, deciding = _Values(
            io.BytesIO(entry)
        ).load()
        return Trace(
            tuple(TracedColumn(*column) for column in columns),
            closed,
            certain,
            reason,
            rows,
            tuple(ColumnProblem(*problem) for problem in problems),
            deciding,
        )
    except Exception:  # as above
        return None


# --- all cores -------------------------------------------------------------------------------


def parse_all(texts: Sequence[Text]) -> list[bytes | None]:
    """The pickled ParsedSql of each text, None where it does not parse; on all cores if many."""
    shares = min(_cores(), max(1, len(texts) // TEXTS_PER_PROCESS))
    size = -(-len(texts) // shares) if texts else 1
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    workers = [_start(part) for part in parts[1:]]
    results = [parse(text) for part in parts[:1] for text in part]
    for part, worker in zip(parts[1:], workers, strict=True):
        results += _answer(worker, len(part)) or [parse(text) for text in part]
    return results


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(texts: Sequence[Text]) -> subprocess.Popen[bytes] | None:
    """A worker that has its texts (it reads them all before it writes); None if none started."""
    try:
        worker = subprocess.Popen(
            [sys.executable, "-m", "dagster_models.parse_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    assert worker.stdin is not None
    with contextlib.suppress(OSError):  # it died: then it has no answer either
        pickle.dump(list(texts), worker.stdin, protocol=5)
        worker.stdin.close()
    return worker


def _answer(worker: subprocess.Popen[bytes] | None, count: int) -> list[bytes | None] | None:
    """What a worker says of its texts, None if it died."""
    if worker is None:
        return None
    with worker, contextlib.suppress(Exception):
        assert worker.stdout is not None
        results: list[bytes | None] = pickle.load(worker.stdout)
        if len(results) == count:
            return results
    return None
