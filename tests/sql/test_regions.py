"""`/* @incremental */ ... /* @end */` and `/* @full ... */`: the text for a build in full."""

from __future__ import annotations

import random

import duckdb
import pytest

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.regions import full_text


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("select 1 /* @incremental */ where a > 1 /* @end */ limit 1", "select 1 limit 1"),
        ("/* @incremental */ select 1 /* @full select 2 */", "select 2"),
        ("/* @incremental */ select 1 /* @full select 2 */ -- x\n", "select 2 -- x"),
        ("/* @incremental */ select 1 /*@full select 2*/ /* @end */", "select 2 /* @end */"),
        ("select 1 /* @full , 2 */ as a", "select 1 , 2 as a"),
        ("select 1 /* @full -- all\n, 2 */ as a", "select 1 -- all\n, 2 as a"),
        (
            "select /* @incremental */ a, /* @end */ b /* @incremental */ , c /* @full , d */",
            "select b , d",
        ),
    ],
)
def test_the_text_for_a_build_in_full(text: str, full: str) -> None:
    found = full_text(text, "duckdb")
    assert found is not None
    assert _squeezed(found) == _squeezed(full)
    assert len(found) == len(text)
    assert [i for i, c in enumerate(found) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]


def _squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "/* @model\nmaterialized: table */ select 1 -- /* @incremental */",
        "select '/* @incremental */ /* @end */', \"/* @full x */\"",
        "select 1 /* see @full */ /* @fuller x */ /* @endless */",
    ],
)
def test_a_text_without_regions_has_one_reading(text: str) -> None:
    assert full_text(text, "duckdb") is None


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("select 1 /* @end */", "ends no region", (1, 10)),
        ("select 1\n /* @incremental */ where a", "has no end", (2, 2)),
        ("select /* @incremental */ 1, /* @incremental */ 2 /* @end */", "has no end", (1, 8)),
        ("select 1 /* @full + 1 */ /* @end */", "ends no region", (1, 26)),
        ("/* @incremental */ select 1 /* @full select 2 */, 3 /* @end */", "ends no", (1, 53)),
        ("select 1 /* @incremental where a */ /* @end */", "holds something else", (1, 10)),
    ],
)
def test_marks_that_do_not_match_are_errors(text: str, what: str, place: tuple[int, int]) -> None:
    with pytest.raises(SqlSyntaxError, match=what) as caught:
        full_text(text, "duckdb")
    assert (caught.value.line, caught.value.column) == place


def test_random_texts_have_the_rows_of_the_two_texts_written_by_hand() -> None:
    """Each piece is in both readings, in one, or in each another one; DuckDB runs both."""
    random.seed(3)
    for _ in range(300):
        incremental, full, text = [], [], []
        for number in range(random.randint(1, 6)):
            a, b = f"{number},", f"'{random.choice('xy')}{number} /* @end */'\n,"
            kind = random.choice(["both", "incremental", "full", "either"])
            incremental += [a] if kind in ("both", "incremental", "either") else []
            full += {"both": [a], "full": [b], "either": [b]}.get(kind, [])
            text.append(
                {
                    "both": a,
                    "incremental": f"/* @incremental */ {a} /* @end */",
                    "full": "/* @full {b} */",
                    "either": "/* @incremental */ {a} /* @full {b} */",
                }[kind].format(a=a, b=b.replace("/* @end */", ""))
            )
            full = [piece.replace("/* @end */", "") for piece in full]
        written = f"select {' '.join(text)} 0"
        found = full_text(written, "duckdb") or written
        assert _rows(written) == _rows(f"select {' '.join(incremental)} 0")
        assert _rows(found) == _rows(f"select {' '.join(full)} 0")


def _rows(sql: str) -> list[object]:
    return duckdb.sql(sql).fetchall()
