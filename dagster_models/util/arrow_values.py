"""Values of Arrow in another type of Arrow: the same values, or an error that names the row.

Arrow has several types for one kind of value, and each library and warehouse knows some of them
only. ``rebuilt`` says in which type they are to be, ``converted`` brings a table's batches there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

Leaf = Callable[[Any], Any]
"""The type that the values of a type without children are to have. Raises ValueError for none."""

#: Extension types whose storage is read as the same value by everybody here.
_EXTENSIONS = frozenset({"arrow.uuid", "arrow.json", "geoarrow.wkb"})
_EXTENSION_NAME = b"ARROW:extension:name"
_DECIMAL128_DIGITS, _DECIMAL256_DIGITS = 38, 76


def row_text(row: int) -> str:
    """How an error names a row, as its place in a list or frame."""
    return f"row {row} (counted from 0)"


def rebuilt(type_: Any, leaf: Leaf) -> Any:
    """The type with each type inside of it that has no children as ``leaf`` wants it; of the kinds
    of lists, views become plain ones."""
    types = pa.types
    if types.is_struct(type_):
        return pa.struct([_field(type_.field(at), leaf) for at in range(type_.num_fields)])
    if types.is_map(type_):
        key, item = _field(type_.key_field, leaf), _field(type_.item_field, leaf)
        return pa.map_(key, item, keys_sorted=type_.keys_sorted)
    if types.is_fixed_size_list(type_):
        return pa.list_(_field(type_.value_field, leaf), type_.list_size)
    if types.is_list(type_) or types.is_list_view(type_):
        return pa.list_(_field(type_.value_field, leaf))
    if types.is_large_list(type_) or types.is_large_list_view(type_):
        return pa.large_list(_field(type_.value_field, leaf))
    return leaf(type_)


def _field(field: Any, leaf: Leaf) -> Any:
    return field.with_type(rebuilt(field.type, leaf))


def plain(field: Any) -> Any:
    """The type of a field in the fewest kinds: no dictionaries, views, runs or odd decimals.

    It is a list of what is known to be read as the same value by every warehouse. Raises ValueError
    for the rest.
    """
    name = (field.metadata or {}).get(_EXTENSION_NAME, b"").decode()
    if name and name not in _EXTENSIONS:
        raise ValueError(_unknown_extension(name))
    return rebuilt(field.type, _plain_leaf)


def _plain_leaf(type_: Any) -> Any:
    types = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        if type_.extension_name == "arrow.bool8":
            return pa.bool_()
        if type_.extension_name not in _EXTENSIONS:
            raise ValueError(_unknown_extension(type_.extension_name))
        return type_
    if types.is_dictionary(type_) or types.is_run_end_encoded(type_):
        return rebuilt(type_.value_type, _plain_leaf)
    if types.is_null(type_):
        return pa.string()  # a column without any type becomes text
    if types.is_decimal(type_):
        return _plain_decimal(type_)
    if types.is_union(type_):
        return _plain_union(type_)
    known = {"halffloat": pa.float32(), "string_view": pa.large_string()}
    known["binary_view"] = pa.large_binary()
    if str(type_) in known:
        return known[str(type_)]
    if types.is_primitive(type_) or types.is_string(type_) or types.is_binary(type_):
        return type_  # (numbers, booleans and all that has a time)
    if types.is_large_string(type_) or types.is_large_binary(type_):
        return type_
    if types.is_fixed_size_binary(type_):
        return type_
    raise ValueError(f"is of Arrow's type {type_}, which is not known to any warehouse: cast it")


def _plain_decimal(type_: Any) -> Any:
    scale = max(type_.scale, 0)
    digits = type_.precision + scale - type_.scale  # those before the point stay
    if digits > _DECIMAL256_DIGITS:
        raise ValueError(f"is of type {type_}, which has more than 76 digits: cast it to text")
    return (pa.decimal128 if digits <= _DECIMAL128_DIGITS else pa.decimal256)(digits, scale)


def _plain_union(type_: Any) -> Any:
    children = [type_.field(at) for at in range(type_.num_fields)]
    if type_.mode != "sparse" or any(plain(child) != child.type for child in children):
        raise ValueError(f"is of Arrow's type {type_}: give its values one type")
    return type_


def _unknown_extension(name: str) -> str:
    return f"is of the extension type {name}, whose values are not known: cast it to its storage"


def converted(
    schema: Any,
    batches: Iterable[Any],
    type_of: Callable[[Any], Any],
    *,
    of: str = "",
    check: bool = False,
) -> tuple[Any, Iterator[Any]]:
    """The schema with each field in the type that ``type_of`` gives it, and its record batches.

    ``check``: values may be no values at all (text that is not UTF-8), as user code has made them.
    Raises ValueError, also while the batches are read, naming the column (``of`` a table) and row.
    """
    fields = []
    for field in schema:
        try:
            type_ = type_of(field)
        except ValueError as error:
            raise ValueError(f"column {field.name!r}{of} {error}") from error
        fields.append(field if type_ == field.type else pa.field(field.name, type_))
    wanted = pa.schema(fields)
    if not check and wanted.equals(schema):
        return schema, iter(batches)
    return wanted, _converted(wanted, batches, of, check)


def _converted(schema: Any, batches: Iterable[Any], of: str, check: bool) -> Iterator[Any]:
    first = 0
    for batch in batches:
        columns = []
        for field, column in zip(schema, batch.columns, strict=True):
            try:
                if check:
                    _validate(column, first)
                columns.append(cast(column, field.type, first))
            except ValueError as error:
                raise ValueError(f"column {field.name!r}{of}, {error}") from error
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        first += batch.num_rows


def cast(column: Any, type_: Any, first_row: int = 0) -> Any:
    """An array in another type. Raises ValueError for the first value that this cannot hold."""
    if column.type == type_:
        return column
    try:
        return _cast(column, type_)
    except (pa.ArrowException, OverflowError) as error:
        at = first_failure(column, lambda part: _cast(part, type_))
        value = shown(column[at])
        raise ValueError(
            f"{row_text(first_row + at)}: {value} has no equal value of type {type_}"
        ) from error


def _cast(column: Any, type_: Any) -> Any:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    # pyarrow 26 makes empty lists of all list views, and cannot cast runs.
    if "list_view<" in str(column.type) or "run_end_encoded<" in str(column.type):
        return pa.array(column.to_pylist(), type_)
    if pa.types.is_integer(column.type) and pa.types.is_decimal(type_):
        # pyarrow asks for room for any integer, and not for those that are there.
        column = column.cast(pa.decimal256(_DECIMAL256_DIGITS, max(0, type_.scale)))
    return column.cast(type_)


def _validate(column: Any, first_row: int) -> None:
    try:
        column.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        at = first_failure(column, lambda part: part.validate(full=True))
        raise ValueError(f"{row_text(first_row + at)}: {error}") from error


def first_failure(column: Any, attempt: Callable[[Any], object]) -> int:
    """The place of the first value for which ``attempt`` raises, which it does for the column."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            # Not a slice: pyarrow casts all that the lists of a slice are taken from.
            attempt(column.take(pa.array(range(low, middle))))
        except Exception:
            high = middle
        else:
            low = middle
    return low


def shown(value: Any) -> str:
    """A value of Arrow for an error: pyarrow's own text where Python has no such value."""
    try:
        text = repr(value.as_py())
    except (ValueError, OverflowError, KeyError):
        text = str(getattr(value, "value", value.type))
    return text if len(text) <= 100 else f"{text[:100]}..."


def refuse_nanoseconds(column: Any, first_row: int = 0) -> None:
    """Raise ValueError for an interval that is finer than a microsecond, the first one if any."""
    for at, value in enumerate(column.to_pylist()):
        if any(interval.nanoseconds % 1000 for interval in _intervals(value)):
            raise ValueError(f"{row_text(first_row + at)}: {value} is finer than a microsecond")


def _intervals(value: Any) -> Iterator[Any]:
    if hasattr(value, "nanoseconds") and hasattr(value, "months"):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _intervals(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _intervals(item)
