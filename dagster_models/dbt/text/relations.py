"""dbt's Relation and Column as macros know them, without a warehouse behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn

from dagster_models.dbt.text.errors import NeedsWarehouse

_NAMES = ("database", "schema", "identifier", "type")
_OPENING = {'"': '"', "`": "`", "[": "]"}


@dataclass(frozen=True, slots=True)
class RelationObject(Mapping[str, Any]):
    """``word``: what stands for the last name in the text, the name itself or a placeholder;
    ``quoted`` and ``included`` are of database, schema and identifier. ``fixed``: the text of
    something that has no name, such as a file."""

    database: str | None
    schema: str | None
    identifier: str | None
    word: str | None = None
    quoted: tuple[bool, bool, bool] = (True, True, True)
    included: tuple[bool, bool, bool] = (True, True, True)
    quote_character: str = '"'
    type: str | None = None
    fixed: str | None = None

    @property
    def name(self) -> str | None:
        return self.identifier

    @property
    def table(self) -> str | None:
        return self.identifier

    @property
    def is_table(self) -> bool:
        return self.type == "table"

    @property
    def is_view(self) -> bool:
        return self.type == "view"

    @property
    def is_cte(self) -> bool:
        return self.type == "cte"

    def include(self, **which: bool) -> RelationObject:
        return replace(self, included=_changed(self.included, which))

    def quote(self, **which: bool) -> RelationObject:
        return replace(self, quoted=_changed(self.quoted, which))

    def without_identifier(self) -> RelationObject:
        return replace(self.include(identifier=False), identifier=None, word=None)

    def incorporate(self, path: Any = None, type: str | None = None, **_: Any) -> RelationObject:
        changed = self.replace_path(**(path or {}))
        return replace(changed, type=type) if type else changed

    def replace_path(self, **parts: str | None) -> RelationObject:
        if "identifier" in parts:
            parts = {**parts, "word": parts["identifier"]}
        return replace(self, **parts) if parts else self  # type: ignore[arg-type]

    def get(self, key: str, default: Any = None) -> Any:
        """dbt_utils asks a mapping for its metadata to see whether it is a relation."""
        return {"type": "Relation"} if key == "metadata" else getattr(self, key, default)

    def __getitem__(self, key: str) -> Any:
        if key not in _NAMES:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)

    def render(self) -> str:
        if self.fixed is not None:
            return self.fixed
        closing = _OPENING.get(self.quote_character, self.quote_character)
        parts = zip(
            (self.database, self.schema, self.word or self.identifier),
            self.quoted,
            self.included,
            strict=True,
        )
        return ".".join(
            f"{self.quote_character}{part}{closing}" if quoted else part
            for part, quoted, included in parts
            if part is not None and included
        )

    def __str__(self) -> str:
        return self.render()


def relation_object(
    written: str, database: str | None, schema: str, identifier: str, word: str, character: str
) -> RelationObject:
    """The relation that dbt writes as *written*, in which *word* stands for the identifier."""
    mark = written[:1] if written[:1] in _OPENING else character
    quoted = tuple(f"{mark}{it}" in written for it in (database, schema, identifier))
    has_database = database is not None and written.strip(mark).startswith(database)
    made = RelationObject(
        database,
        schema,
        identifier,
        word,
        (quoted[0], quoted[1], quoted[2]),
        (has_database, bool(schema), True),
        mark,
        "table",
    )
    if replace(made, word=None).render() == written:
        return made
    before, found, behind = written.rpartition(identifier)
    return replace(made, fixed=before + word + behind if found else word)


def _changed(policy: tuple[bool, bool, bool], which: dict[str, bool]) -> tuple[bool, bool, bool]:
    names = ("database", "schema", "identifier")
    found = [which.get(name, old) for name, old in zip(names, policy, strict=True)]
    return (bool(found[0]), bool(found[1]), bool(found[2]))


class ColumnObject:
    """dbt's api.Column, as far as it needs no warehouse."""

    labels: ClassVar[dict[str, str]] = {"STRING": "TEXT"}

    def __init__(self, column: str, dtype: str = "", *size: Any) -> None:
        self.column = self.name = column
        self.dtype = self.data_type = dtype
        self.quoted = f'"{column}"'

    @classmethod
    def translate_type(cls, dtype: str) -> str:
        return cls.labels.get(dtype.upper(), dtype)

    @classmethod
    def create(cls, name: str, dtype: str) -> ColumnObject:
        return cls(name, cls.translate_type(dtype))

    @classmethod
    def string_type(cls, size: int) -> str:
        return f"character varying({size})"

    @classmethod
    def numeric_type(cls, dtype: str, precision: Any, scale: Any) -> str:
        return dtype if precision is None or scale is None else f"{dtype}({precision},{scale})"


class NamedColumn:
    """A column whose name alone is known: for all else the warehouse would have to be asked."""

    def __init__(self, column: ColumnObject) -> None:
        self.column = self.name = column.name
        self.quoted = column.quoted

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NeedsWarehouse(f"`{name}` of a column")


class _OfBigQuery(ColumnObject):
    labels: ClassVar[dict[str, str]] = {"TEXT": "STRING", "FLOAT": "FLOAT64", "INTEGER": "INT64"}

    def __init__(self, column: str, dtype: str = "", *size: Any) -> None:
        super().__init__(column, dtype)
        self.quoted = f"`{column}`"

    @classmethod
    def string_type(cls, size: int) -> str:
        return "STRING"

    @classmethod
    def numeric_type(cls, dtype: str, precision: Any, scale: Any) -> str:
        return dtype


class _OfSpark(ColumnObject):
    labels: ClassVar[dict[str, str]] = {}

    def __init__(self, column: str, dtype: str = "", *size: Any) -> None:
        super().__init__(column, dtype)
        self.quoted = f"`{column}`"


COLUMNS: dict[str, type[ColumnObject]] = {
    "bigquery": _OfBigQuery,
    "spark": _OfSpark,
    "databricks": _OfSpark,
}
