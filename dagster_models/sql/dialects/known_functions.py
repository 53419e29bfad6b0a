"""The functions that sqlglot's parser knows by name, in the words of common_queries.py."""

from __future__ import annotations

from collections.abc import Mapping

#: Functions that the parser knows in every dialect, by the letter for their name.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "0": ("row_number", "rank", "dense_rank", "percent_rank", "cume_dist"),
    "1": (
        *("abs", "lower", "upper", "ltrim", "rtrim", "length", "reverse", "initcap", "md5"),
        *("floor", "ceil", "ceiling", "sqrt", "exp", "ln", "sign", "first_value", "last_value"),
        *("month", "day", "week", "quarter", "hour", "bool_or", "bool_and", "ntile"),
    ),
    "2": ("nullif", "power", "date_trunc", "starts_with"),
    "3": ("round", "lag", "lead"),
    "4": (
        *("coalesce", "ifnull", "nvl", "greatest", "least"),
        *("concat", "concat_ws", "split_part"),
    ),
    "5": ("count", "sum", "min", "max", "avg", "any_value", "median", "stddev", "variance"),
    "6": ("trim",),
    "7": ("substr", "substring"),
    "8": ("cast", "try_cast"),
}
#: Those that it knows in one dialect besides.
FUNCTIONS_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "snowflake": {
        "0": ("sysdate", "uuid_string"),
        "1": (
            *("parse_json", "try_parse_json", "array_size", "zeroifnull", "nullifzero", "year"),
            *("monthname", "dayname", "last_day", "boolor_agg", "booland_agg", "len", "to_variant"),
            *("typeof", "dayofweek", "dayofyear", "weekofyear", "sha1", "to_array"),
            *("count_if", "array_agg", "array_distinct", "array_unique_agg", "listagg"),
        ),
        "2": (
            *("contains", "startswith", "endswith", "split", "months_between", "div0", "pow"),
            *("array_contains", "array_to_string", "equal_null", "mod"),
        ),
        "3": (
            *("to_char", "to_varchar", "to_number", "try_to_number", "to_decimal"),
            *("try_to_decimal", "date_from_parts"),
        ),
        "7": (
            *(
                "regexp_replace",
                "regexp_substr",
                "regexp_like",
                "regexp_substr_all",
                "regexp_count",
            ),
            *("lpad", "rpad", "charindex", "position"),
        ),
        "#": ("to_date", "try_to_date"),
        "9": ("iff", "dateadd", "datediff", "timestampadd", "timestampdiff"),
    },
    "trino": {
        "1": (
            *(
                "from_iso8601_timestamp",
                "from_iso8601_timestamp_nanos",
                "from_iso8601_date",
                "year",
            ),
            *("to_hex", "to_utf8", "sha256", "json_parse", "arbitrary", "count_if", "cardinality"),
            *("array_agg", "array_distinct", "from_unixtime"),
        ),
        "2": ("date_parse", "date_format", "split", "element_at", "strpos"),
        "7": ("regexp_like", "regexp_replace", "regexp_extract", "array_join", "lpad"),
        "9": ("date_diff", "date_add"),
    },
    "bigquery": {
        "1": (
            *("to_hex", "to_base64", "sha256", "logical_or", "logical_and", "countif", "array_agg"),
            *("to_json_string", "array_length", "last_day", "farm_fingerprint", "timestamp_millis"),
            *("timestamp_seconds", "timestamp_micros", "unix_seconds"),
        ),
        "2": (
            *("safe_divide", "parse_date", "parse_datetime", "parse_timestamp", "format_date"),
            *("format_timestamp", "regexp_contains", "mod", "timestamp_trunc", "datetime_trunc"),
        ),
        "7": ("regexp_replace", "regexp_extract", "array_to_string", "lpad"),
        "8": ("safe_cast",),
        "9": ("if", "date_diff", "datetime_diff", "timestamp_diff"),
    },
}


def _by_name(functions: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: letter for letter, names in functions.items() for name in names}


#: name -> letter
LETTERS: Mapping[str, str] = _by_name(FUNCTIONS)
#: dialect -> name -> letter, for the dialects of FUNCTIONS_OF
LETTERS_IN: Mapping[str, Mapping[str, str]] = {
    dialect: {**LETTERS, **_by_name(of)} for dialect, of in FUNCTIONS_OF.items()
}
#: Dialects in which the parser takes `replace(...)` for no call.
WITHOUT_REPLACE = frozenset({"teradata"})
#: Dialects in which calls of unknown functions and subscripts are read, too.
CALLS_AND_SUBSCRIPTS = frozenset({"snowflake", "trino"})
