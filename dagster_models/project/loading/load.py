"""A project, loaded fast: what was found out before is remembered, the rest is done on all pool.

    core.project.load ── all SQL texts ──> parse ahead ─┬─ known ──> target/parsed.cache
                      └─ queries, level by level ──> trace ─┴─ new ──> cores.py, a process per core

Both caches are addressed by contents (cache.py): whoever loads an older commit, or a project of
which half the files changed, finds what he has of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dagster_models.core.model import Project, Source
from dagster_models.core.traced import Query, Schema, Trace, Upstream, trace_of
from dagster_models.project import load as core_project
from dagster_models.project.loading.cache import Cache, decode
from dagster_models.project.loading.parser_pool import ParserPool
from dagster_models.sql.parsed import ParsedSql, parsed_of
from dagster_models.sql.parsed_texts import ParsedTexts, Text
from dagster_models.util.gc_tuning import rare_collections

PARSED_FILE = "target/parsed.cache"
TRACES_FILE = "target/traces.cache"


def load(
    path: str | os.PathLike[str],
    *,
    sources: Sequence[Source] = (),
    texts: Mapping[Text, ParsedSql] | None = None,
    columns: bool = True,
    unknown_columns: str | None = None,
    whole: bool = True,
    caches: str | os.PathLike[str] | None = None,
) -> Project:
    """``core.project.load`` with its arguments, fast. Raises ProjectError as that does.

    ``columns``: find out each step's columns and their lineage too. ``caches``: the project whose
    caches are used (default: this one).
    """
    beside = Path(path if caches is None else caches)
    parsed, traces = Cache(beside / PARSED_FILE), Cache(beside / TRACES_FILE)
    with rare_collections(), ParserPool() as pool:
        try:
            return core_project.load(
                path,
                sources=sources,
                texts=texts,
                parse_ahead=partial(parse_ahead, cached=parsed, pool=pool),
                tracer=Traces(traces, pool).trace if columns else None,
                unknown_columns=unknown_columns,
                whole=whole,
            )
        finally:
            parsed.save()
            traces.save()


# --- texts -----------------------------------------------------------------------------------


def parse_ahead(
    texts: Sequence[Text], parsed: ParsedTexts, cached: Cache, pool: ParserPool
) -> Iterator[int]:
    """Put what each text says into *parsed*, and yield the text's place once it is there, or once
    it is known that the text does not parse."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(key_of(text), []).append(place)
    new: list[str] = []
    for key, at in places.items():
        text = texts[at[0]]
        try:
            parsed.known[text] = parsed_of(cached.get(key))
        except Exception:  # the cache does not have it, or the entry is damaged
            if text not in parsed.known:
                new.append(key)
                continue
        yield from at
    for index, entry in pool.each("parse", [texts[places[key][0]] for key in new]):
        key = new[index]
        if entry is not None:
            parsed.known[texts[places[key][0]]] = parsed_of(decode(entry))
            cached.put(key, entry)
        yield from places[key]


def key_of(text: Text) -> str:
    digest = hashlib.sha256(repr(text[1:]).encode())
    digest.update(text[0].encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


# --- columns ---------------------------------------------------------------------------------


class Traces:
    """``lineage.trace``, remembered between loads: by its text, its dialect and the schemas of
    what it reads, so that a changed column upstream makes the trace of each reader anew."""

    def __init__(self, known: Cache, pool: ParserPool) -> None:
        self._known, self._pool = known, pool
        self._schemas: dict[int, tuple[Schema, str]] = {}  #: id -> itself, and what stands for it

    def trace(self, queries: Sequence[Query]) -> list[Trace]:
        keys = [self._key(query) for query in queries]
        found = {key: self._remembered(key) for key in keys}
        new = {key: query for key, query in zip(keys, queries, strict=True) if found[key] is None}
        entries = self._pool.map("trace", list(new.values()))
        for key, entry in zip(new, entries, strict=True):
            assert entry is not None
            found[key] = trace_of(decode(entry))
            self._known.put(key, entry)
        return [trace for key in keys if (trace := found[key]) is not None]

    def _remembered(self, key: str) -> Trace | None:
        try:
            return trace_of(self._known.get(key))
        except Exception:  # it is not known, or damaged
            return None

    def _key(self, query: Query) -> str:
        digest = hashlib.sha256(repr((query.dialect, query.text)).encode())
        for name, item in sorted(query.upstream.items()):
            digest.update(repr((name, item.key, self._schema(item))).encode())
        return digest.hexdigest()

    def _schema(self, upstream: Upstream) -> str:
        """One model may have a thousand readers: its columns are written out once."""
        schema = upstream.schema
        found = self._schemas.get(id(schema))
        if found is None:
            found = schema, hashlib.sha256(repr(schema).encode()).hexdigest()
            self._schemas[id(schema)] = found
        return found[1]
