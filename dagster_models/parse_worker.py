"""Parses SQL in a process of its own: texts in by stdin, what they say out by stdout, as pickles.

    python -m dagster_models.parse_worker

Started by loading.py for a project with many files that nobody has parsed yet.
"""

from __future__ import annotations

import pickle
import sys

from dagster_models.core.compiled import Text
from dagster_models.core.parse import parse_sql
from dagster_models.errors import SqlSyntaxError


def parse(text: Text) -> bytes | None:
    """The pickled ParsedSql of a text; None if it does not parse (the loader tells why)."""
    sql, dialect, queries_only = text
    try:
        return pickle.dumps(parse_sql(sql, dialect, queries_only=queries_only), protocol=5)
    except SqlSyntaxError:
        return None


def main() -> None:
    texts = pickle.load(sys.stdin.buffer)
    pickle.dump([parse(text) for text in texts], sys.stdout.buffer, protocol=5)


if __name__ == "__main__":
    main()
