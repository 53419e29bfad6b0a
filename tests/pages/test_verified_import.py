"""What the page of an import shows of its comparison with dbt."""

from __future__ import annotations

from dagster_models.dbt.verification.report import Verification
from dagster_models.dbt.verification.texts import TextResult, TextState
from dagster_models.pages.dbt_verified import verified_parts


def test_texts_of_which_nothing_is_to_be_said_are_counted_without_a_table() -> None:
    equal = TextResult("model.shop.a", "models/a.sql", TextState.EQUAL)
    other = TextResult("model.shop.b", "models/b.sql", TextState.DIFFERS, what="line 1")
    for texts, tables in (((equal,), 0), ((equal, other), 1)):
        page = "".join(verified_parts(Verification(texts)))
        assert page.count("<table") == tables
        assert "<b>1</b>equal" in page
