"""Parses and traces SQL in a process of its own: batches come on stdin, entries go to stdout.

    python -m dagster_models.project.loading.parser_process

parser_pool.py starts it for a project with many files that are not cached yet. A batch is a job and
its items, an answer is the list of their entries, and both are pickles. A word and the size of an
answer go before it. The process first answers an empty batch, to say that it has started, and ends
when its stdin is closed. It reads all the time, so that the next batch is here when one is done.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from dagster_models.core.traced import Meant, TraceRequest, Upstream, plain_trace
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.loading.cache import encode
from dagster_models.sql.parsed import ParsedSql, plain_parsed
from dagster_models.sql.parsed_texts import Text
from dagster_models.util.gc_tuning import rare_collections

#: What each answer begins with. Whatever else stands on stdout, such as what a sitecustomize.py
#: prints, must not be taken for a size.
ANSWER = b"answer: "
#: Those of the size of an answer.
SIZE_BYTES = 8


def parse(text: Text) -> bytes | None:
    """The cache entry of what a text says; None if it does not parse (the loader reports why)."""
    from dagster_models.sql.parse import parse_sql

    sql, dialect, queries_only = text
    try:
        return encode(plain_parsed(parse_sql(sql, dialect, queries_only=queries_only)))
    except SqlSyntaxError:
        return None


def trace_columns(query: TraceRequest) -> bytes | None:
    """The cache entry of a query's trace."""
    # Importing this takes 0.1 s, and the texts are parsed first.
    from dagster_models.sql.lineage.trace import trace

    return encode(plain_trace(trace(*query)))


def parse_and_trace(item: tuple[Text, Meant]) -> tuple[bytes | None, bytes | None]:
    """The entries of ``parse``, and of ``trace_columns`` if it is known what the text's names
    mean. The text is parsed once for both."""
    from dagster_models.sql.nodes import unlink
    from dagster_models.sql.parse import parse_source
    from dagster_models.sql.tokens import TokenizedText

    (sql, dialect, queries_only), meant = item
    try:
        source = TokenizedText(sql, dialect)
        parsed = parse_source(source, queries_only)
    except SqlSyntaxError:
        return None, None
    entry, upstream = encode(plain_parsed(parsed)), upstream_of(parsed, meant)
    if upstream is None:
        unlink(source.statements())
        return entry, None
    from dagster_models.sql.lineage.trace import trace

    return entry, encode(plain_trace(trace(sql, dialect, upstream, source)))


def upstream_of(parsed: ParsedSql, meant: Meant) -> dict[str, Upstream] | None:
    """What the names that a text reads mean; None if that is not known of all."""
    found = {}
    for reference in parsed.references:
        name = reference.name
        if name.lower() not in meant:
            return None
        if (upstream := meant[name.lower()]) is not None:
            found[name] = upstream
    return found


JOBS: Mapping[str, Callable[[Any], Any]] = {
    "parse": parse,
    "trace": trace_columns,
    "both": parse_and_trace,
}


def main() -> None:
    batches = SimpleQueue[tuple[str, list[Any]] | None]()
    threading.Thread(target=_read, args=(batches,), daemon=True).start()
    entries: list[Any] = []
    with rare_collections():
        while True:
            answer(entries)
            batch = batches.get()
            if batch is None:
                return
            job, items = batch
            entries = [JOBS[job](item) for item in items]


def answer(entries: list[Any]) -> None:
    data, out = pickle.dumps(entries, protocol=5), sys.stdout.buffer
    out.write(ANSWER + len(data).to_bytes(SIZE_BYTES, "big"))
    out.write(data)
    out.flush()


def _read(batches: SimpleQueue[tuple[str, list[Any]] | None]) -> None:
    """Read all batches as they come; None is the end of them.

    A loader that is killed while it sends a batch leaves a part of it: that is an end, too.
    """
    try:
        with (
            contextlib.suppress(EOFError, pickle.UnpicklingError),
            open(0, "rb", closefd=False) as stdin,
        ):
            while True:
                batches.put(pickle.load(stdin))
    finally:  # else the process would wait for ever
        batches.put(None)


if __name__ == "__main__":
    main()
