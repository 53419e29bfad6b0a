"""A statement that each model of a folder has is parsed once."""

from __future__ import annotations

import pytest

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.statements import refuse_other_statements
from dagster_models.sql.tokens import TokenizedText


def test_a_statement_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    statements = TokenizedText.statements

    def counted(source: TokenizedText) -> object:
        parsed.append(source.text)
        return statements(source)

    monkeypatch.setattr(TokenizedText, "statements", counted)
    for _ in range(2):
        refuse_other_statements("insert into once select 1", "duckdb")
        with pytest.raises(SqlSyntaxError, match="would begin or end the transaction"):
            refuse_other_statements("commit", "duckdb")
        refuse_other_statements("insert into once select 1", "postgres")
    assert parsed.count("insert into once select 1") == 2  # one for each dialect
