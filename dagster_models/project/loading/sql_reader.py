"""Parses and traces SQL fast: known texts come from caches, new ones are read on all cores.

    all SQL texts ──> parse_all ─┬─ known ──> target/parsed.cache, target/traces.cache
    a level of queries ──> trace ┴─ new ────> parser_pool.py, a process per core

A cold load asks twice for each text: for its names, and when all names are resolved for its
columns. A tree is too large to be kept for so long (174 KiB). So ``parse_all`` has a text traced
with the tree that is there, by what its names will probably mean (ahead.py).

Both caches are addressed by content (cache.py), so a load of an older commit, or of a project in
which half of the files have changed, still finds the entries of all other texts.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dagster_models.core.traced import Meant, Schema, Trace, TraceRequest, Upstream, trace_of
from dagster_models.project.ahead import Ahead
from dagster_models.project.loading.cache import Cache, decode
from dagster_models.project.loading.parser_pool import ParserPool
from dagster_models.project.loading.parser_process import upstream_of
from dagster_models.project.loading.seed_looks import SeedLooks
from dagster_models.sql.parsed import ParsedSql, parsed_of
from dagster_models.sql.parsed_texts import ParsedTexts, Text
from dagster_models.util.seed_look import SeedLook

PARSED_FILE = "parsed.cache"
TRACES_FILE = "traces.cache"


class SqlReader:
    """Reads the SQL of one load, and its seeds, with the caches in the folder *root*. Use it as a
    context manager: at the end it saves the caches and ends the processes."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._parsed = Cache(Path(root) / PARSED_FILE)
        self._traces = Cache(Path(root) / TRACES_FILE)
        self._seeds = SeedLooks(root)
        self._pool = ParserPool()
        self._schemas: dict[int, tuple[Schema, str]] = {}  #: id -> the schema and its digest
        self._keys: dict[Text, str] = {}  #: of the texts of the project's files
        self._fresh: dict[str, Trace] = {}  #: those that were traced by this load

    def __enter__(self) -> SqlReader:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        try:
            self._parsed.save()
            self._traces.save()
            self._seeds.save()
        finally:
            self._pool.close()

    def look_at_seed(self, data: bytes) -> SeedLook:
        """What is in the bytes of a seed."""
        return self._seeds.at(data)

    def parse_all(
        self, parsed: ParsedTexts, texts: Sequence[Text], ahead: Ahead | None = None
    ) -> Iterator[int]:
        """Put what each text says into *parsed*, and yield the text's index once that is done, or
        once it is known that the text does not parse. If most texts are new, they are traced
        *ahead*."""
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            key = self._keys[text] = key_of(text)
            places.setdefault(key, []).append(place)
        new = {
            key: None for key, at in places.items() if not self._recall(parsed, texts[at[0]], key)
        }
        if ahead is not None and 2 * len(new) > len(places):
            yield from self._read_ahead(parsed, texts, ahead)
            return
        for key, at in places.items():
            if key not in new:
                yield from at
        keys = list(new)
        for index, entry in self._pool.each("parse", [texts[places[key][0]] for key in keys]):
            key = keys[index]
            if entry is not None:
                self._keep(parsed, texts[places[key][0]], key, entry)
            yield from places[key]

    def _recall(self, parsed: ParsedTexts, text: Text, key: str) -> bool:
        try:
            parsed.known[text] = parsed_of(self._parsed.get(key))
        except Exception:  # the cache does not have it, or the entry is damaged
            return text in parsed.known
        return True

    def _keep(self, parsed: ParsedTexts, text: Text, key: str, entry: bytes) -> None:
        parsed.known[text] = parsed_of(decode(entry))
        self._parsed.put(key, entry)

    def _read_ahead(
        self, parsed: ParsedTexts, texts: Sequence[Text], ahead: Ahead
    ) -> Iterator[int]:
        """Parse each text after those that it reads, and trace it at once with the same tree.

        What its names mean is a guess, so the trace is only put into the cache, under the key of
        all that it was made from. Whoever asks for the text's trace does not get a wrong one, and
        has the text parsed again if the guess was wrong.
        """
        self._pool.start("both", len(texts))  # they start while the texts are put in order
        ahead.begin()
        items: list[tuple[Text, Meant]] = []
        places, todo = list[int](), deque[int]()

        def ready() -> Iterator[int]:
            while ahead.ready:
                place = ahead.ready.popleft()
                text, meant = texts[place], ahead.meant(place)
                if text in parsed.known:
                    if (request := _request(text, parsed.known[text], meant)) is not None:
                        ahead.traced(place, self._remembered(self._key(request)))
                    yield place
                else:
                    todo.append(len(items))
                    items.append((text, meant))
                    places.append(place)

        yield from ready()
        while todo or ahead.release():
            yield from ready()
            for index, (entry, traced) in self._pool.each("both", items, todo, len(texts)):
                text, meant = items[index]
                if entry is not None:
                    self._keep(parsed, text, self._keys[text], entry)
                    request = _request(text, parsed.known[text], meant)
                    if traced is not None and request is not None:
                        ahead.traced(places[index], self._put(self._key(request), traced))
                yield places[index]
                yield from ready()

    def trace(self, queries: Sequence[TraceRequest]) -> list[Trace]:
        """The trace of each query, in order. It is cached by the query's text, its dialect and the
        schemas of what it reads: if an upstream column changes, all queries that read it are traced
        again."""
        keys = [self._key(query) for query in queries]
        found = {key: self._remembered(key) for key in keys}
        new = {key: query for key, query in zip(keys, queries, strict=True) if found[key] is None}
        entries = self._pool.map("trace", list(new.values()))
        for key, entry in zip(new, entries, strict=True):
            found[key] = self._put(key, entry)
        return [trace for key in keys if (trace := found[key]) is not None]

    def _put(self, key: str, entry: bytes) -> Trace:
        self._traces.put(key, entry)
        found = self._fresh[key] = trace_of(decode(entry))
        return found

    def _remembered(self, key: str) -> Trace | None:
        if key in self._fresh:
            return self._fresh[key]
        try:
            return trace_of(self._traces.get(key))
        except Exception:  # the cache does not have it, or the entry is damaged
            return None

    def _key(self, query: TraceRequest) -> str:
        text = (query.text, query.dialect, True)
        digest = hashlib.sha256((self._keys.get(text) or key_of(text)).encode())
        for name, item in sorted(query.upstream.items()):
            digest.update(repr((name, item.key, self._schema(item))).encode())
            if item.trace is not None:
                digest.update(repr(item.trace).encode())
        return digest.hexdigest()

    def _schema(self, upstream: Upstream) -> str:
        """The digest of a schema. It is computed once, as a thousand queries may read one model."""
        schema = upstream.schema
        found = self._schemas.get(id(schema))
        if found is None:
            parts = repr((schema.columns, schema.closed, schema.certain))
            found = schema, hashlib.sha256(parts.encode()).hexdigest()
            self._schemas[id(schema)] = found
        return found[1]


def _request(text: Text, parsed: ParsedSql, meant: Meant) -> TraceRequest | None:
    """The request for a text's trace, if it is known what all its names mean."""
    upstream = upstream_of(parsed, meant)
    return None if upstream is None else TraceRequest(text[0], text[1], upstream)


def key_of(text: Text) -> str:
    """The key of a text in the cache of parsed texts."""
    digest = hashlib.sha256(repr(text[1:]).encode())
    digest.update(text[0].encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
