"""Connection strings are read as libpq reads them, and no error shows a part of one."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from dagster_models.errors import WarehouseError
from dagster_models.util.dsn import dsn_parameters, parameters

PARTS = (
    *("a", "me", "pw", "1", "5433", "@", ":", "/", "?", "#", "%", "%25", "%40", "%2F", "%zz"),
    *("&", "=", "+", "[", "]", "[::1]", ",", " ", "'", "\\", "host=h", "password=p+%2525", "é"),
)
PAIRS = (
    *("host", "user", "password", "=", " = ", "'", "\\", " ", "\n", "a", "'a b'", "\\'", "\\ "),
    *("sslmode=require", "password='p''w'", "user = \\\\u"),
)
URLS = st.lists(st.sampled_from(PARTS), max_size=10).map(
    lambda parts: "postgresql://" + "".join(parts)
)
STRINGS = st.lists(st.sampled_from(PAIRS), min_size=1, max_size=10).map("".join)


@given(URLS | STRINGS)
@example("postgresql://u:p+w@h/d?password=a+b&options=-c%20a%3D%2525")
@example("postgresql://u:a#b?c@h:1,[::2]:3,k/d?ssl=true")
@example("postgresql://:@/?host=/run/postgresql&")
@example("host=h password='a\\'b c' dbname = d")
def test_it_says_what_libpq_says(text: str) -> None:
    try:
        by_libpq = {key: str(value) for key, value in conninfo_to_dict(text).items()}
    except (psycopg.ProgrammingError, UnicodeDecodeError) as error:
        if "invalid connection option" in str(error):
            return  # reported by libpq when it is to connect
        by_libpq = None
    try:
        ours = dsn_parameters(text)
    except WarehouseError as error:
        # Alone we refuse only what can be a part of a password, or could never be connected to.
        alone = "has an @ too many" in str(error) or "not a number" in str(error)
        assert by_libpq is None or alone, by_libpq
    else:
        assert ours == by_libpq


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:S3KR/pw@db:5433/sales",
        "postgresql://me:12/S3KR@db:5433/sales",
        "postgresql://me:S3KR/@db/sales",
        "postgresql://me:pa@S3KR@db/sales",
        "postgresql://me:pa@ss:S3KR@db/sales",
        "postgresql://me:pa@x/S3KR@db/sales",
        "postgresql://me:9?S3KR/pw@db/sales",
        "postgresql://me:9?s3kr=/pw@db/sales",
        "postgresql://me:9?user=/S3KR&pw@db/sales",
        "postgresql://me:S3%KR@db/sales",
        "postgresql://me:S3KR%ff@db/sales",
        "postgresql://me:S3KR pw@db/sales",
        "postgresql://me:[S3KR@db/sales?x",
        "postgresql://db/sales?password=S3KR=",
        "postgresql://db/sales?password=S3KR&S3KR",
        "postgresql+psycopg2://me:S3KR@db/sales",
        "host=db password=S3KR pw",
        "host=db password='S3KR",
        "S3KR",
    ],
)
def test_a_password_that_is_not_encoded_is_neither_taken_for_something_else_nor_shown(
    dsn: str,
) -> None:
    with pytest.raises(WarehouseError) as caught:
        dsn_parameters(dsn)
    assert "s3kr" not in f"{caught.value!r}{caught.value.__cause__!r}".lower()
    assert "(Its value is not shown, as it may contain a password.)" in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "user", "password"),
    [
        ("postgresql://me:a#b@db/sales", "me", "a#b"),
        ("postgresql://me:a?b@db/sales", "me", "a?b"),
        ("postgresql://me:a:b@db/sales", "me", "a:b"),
        ("postgresql://me:a+b&c=d@db/sales", "me", "a+b&c=d"),
        ("postgresql://me:%40%2F%25@db/sales", "me", "@/%"),
        ("postgresql://me@db/sales?password=a+b%2525", "me", "a+b%25"),
        ("postgresql://db/sales?user=me@tenant&password=x", "me@tenant", "x"),
        ("user=me host=db password=a'b#c@d dbname=sales", "me", "a'b#c@d"),
    ],
)
def test_a_password_that_libpq_reads_is_read(dsn: str, user: str, password: str) -> None:
    found = dsn_parameters(dsn)
    assert (found["user"], found["password"]) == (user, password)
    assert (found["host"], found["dbname"]) == ("db", "sales")


@pytest.mark.parametrize("setting", ["host", "dbname", "user"])
def test_a_url_in_another_setting_is_refused_and_not_shown(setting: str) -> None:
    with pytest.raises(WarehouseError, match=rf"^\w+: {setting}: it is a URL") as caught:
        parameters({setting: "${URL}"}, {"URL": "postgresql://me:s3kr@db/sales"})
    assert "s3kr" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(WarehouseError, match="password: it has bytes that are not UTF-8") as caught:
        parameters({"password": "${P}"}, {"P": "s3kr\udcff"})
    assert "s3kr" not in repr(caught.value)
