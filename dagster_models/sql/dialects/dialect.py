"""What differs between SQL dialects, as one value for each: every difference is a named field.

A default is what most dialects do, and what is assumed of a dialect that nobody has looked at. A
module beside this one has the values of each family of dialects, table.py the list of them.
Sources: the warehouses' manuals. "Measured" is what the warehouse itself was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, TypeAlias

from dagster_models.sql.dialects.later import function, value

if TYPE_CHECKING:
    from sqlglot import exp

    from dagster_models.sql.rewriting.token_rewriter import TokenRules

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)

Letters: TypeAlias = Callable[[str], str]
"""What the letters of a name become: ``lower``, ``upper`` or ``kept``."""
Output: TypeAlias = "Callable[[exp.Expr], str]"
"""The name that an identifier gives to a column."""
TypeOf: TypeAlias = "Callable[[exp.Expr | None], str]"
"""The type of an expression, "" if it is not sure."""


def lower(name: str) -> str:
    """Only ASCII letters change, as in PostgreSQL (UTF-8) and DuckDB: ``Étage`` and ``étage`` are
    two tables there."""
    return name.translate(_LOWER)


def upper(name: str) -> str:
    return name.translate(_UPPER)


def kept(name: str) -> str:
    return name


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def never_a_file(parts: tuple[str, ...], in_string: bool, quoted: bool) -> bool:
    return False


def never_foreign(_: exp.DType) -> str | None:
    return None


def unknown_type(type_of: TypeOf, node: exp.Expr) -> str:
    return ""


_NO_TOKENS = value("rewriting.token_rewriter", "NO_TOKEN_RULES")
_NAME = function("dialects.trees", "name_of_column")
_SPREADING = value("dialects.trees", "SPREADING")


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One dialect. ``name`` is sqlglot's name of it."""

    name: str
    #: Whether a project may name it in ``dialect:``. The others are only here because sqlglot
    #: distinguishes them.
    offered: bool = True

    # --- How names are compared ---------------------------------------------------------------

    #: How an unquoted name of a table, schema or catalog is compared.
    unquoted: Letters = lower
    #: How a quoted one is compared. Different from ``unquoted`` where quotes make another name.
    quoted: Letters = lower
    #: How names of CTEs and aliases of tables are compared, once they are folded as a table's name.
    alias: Letters = kept
    #: What the letters of an unquoted column become in the relation.
    column: Letters = kept
    #: `doc:Name` is a path into a document, whose keys have case.
    colon_paths: bool = False
    #: `for json` makes a document whose keys are the names in the query.
    keys_in_result: bool = False
    #: Two columns of a relation may differ in nothing but the case of their names.
    columns_have_case: bool = False
    #: The rules by which columns are found were measured on the warehouse itself. Elsewhere an
    #: unknown column is only worth a warning.
    columns_measured: bool = False
    #: The schema that `db..t` means.
    default_schema: str = ""

    # --- What FROM names beside the project's relations ---------------------------------------

    #: Schemas that hold nobody's models, beside information_schema, which no dialect has models in.
    system_schemas: frozenset[str] = frozenset()
    #: Catalogs that hold nobody's models, where a name has three parts.
    system_catalogs: frozenset[str] = frozenset()
    #: The warehouse's own tables that are found without their schema.
    system_tables: frozenset[str] = frozenset()
    #: The schema in which they are found as well, as if they were anybody's.
    system_tables_home: str | None = None
    #: Those that are found in any schema.
    system_tables_anywhere: frozenset[str] = frozenset()
    #: What a bare name matches from its beginning if it is one of the warehouse's own tables.
    system_table: re.Pattern[str] | None = None
    #: sqlglot may join several parts of a name into one (`INFORMATION_SCHEMA.TABLES`).
    joins_parts: bool = False
    #: Whether a name in FROM is a file's, which the warehouse reads without a function. Gets the
    #: parts of the name, whether it is written in single quotes, and whether in any.
    is_file: Callable[[tuple[str, ...], bool, bool], bool] = never_a_file
    #: Functions in FROM that read from another server whatever they are given.
    remote_functions: frozenset[str] = frozenset()
    #: `from t, t.items` reads an array column of t. Elsewhere it reads the table t.items.
    array_paths: bool = False
    #: There, `from t.t, t.items` reads an array even if the schema t has a table items.
    arrays_before_tables: bool = True
    #: `x in db.t` reads the table db.t, if there is no column or alias of that name.
    in_reads_tables: bool = False

    # --- Text ---------------------------------------------------------------------------------

    #: The two characters that stand around a quoted name.
    quotes: str = '""'
    #: The characters that begin a named placeholder.
    placeholder_marks: str = ":"
    #: Characters of no width that the warehouse takes for white space.
    zero_width: re.Pattern[str] | None = None
    #: `/*!80000 ... */` is SQL.
    executes_comments: bool = False
    #: `from t *` is `from t` with the tables that inherit from it.
    star_behind_table: bool = False
    #: Where the warehouse's grammar is wider than sqlglot's.
    tokens: Callable[[], TokenRules] = _NO_TOKENS
    #: An empty list as a value, where sqlglot's would not do.
    empty_list: str = ""
    #: `x in [1, 2]` is possible. Elsewhere a list behind IN is in parentheses.
    arrays_follow_in: bool = False
    #: The dialect in which sqlglot has the reserved words of this one, where it has none here.
    reserved_words_of: str = ""
    #: Clauses of a table (as sqlglot calls them) that the alias has to follow:
    #: `orders tablesample (1 percent) o`.
    alias_follows: tuple[str, ...] = ()
    #: `insert into t as x` is possible.
    insert_has_alias: bool = False

    #: The word for a date and a time without a zone.
    moment: str = "timestamp"

    #: The call that returns a NUL character, which no literal has; "" where texts have none, or
    #: where nobody has looked.
    nul_character: str = ""
    #: A list and a mapping have literals, `[1, 2]` and `{'a': 1}`.
    nested_literals: bool = False

    # --- CTEs ---------------------------------------------------------------------------------

    #: A CTE may read itself without the word RECURSIVE.
    always_recursive: bool = False
    #: Only the second half of a recursive CTE's UNION reads the CTE. The first half, and a CTE
    #: without a UNION, still read the table of that name.
    second_half_recurs: bool = False
    #: The CTEs of one WITH RECURSIVE see each other in any order.
    recursive_ctes_in_any_order: bool = False
    #: The CTEs of any WITH see each other in any order.
    ctes_in_any_order: bool = False

    #: The name of a CTE is a value in expressions, not only the name of a table.
    ctes_are_values: bool = False

    # --- Columns of a query -------------------------------------------------------------------

    #: The name of a column without an alias; "" where only the warehouse knows.
    implied_name: Callable[[exp.Expr, Output], str] = _NAME
    #: A column without an alias keeps the spelling of the relation that it comes from.
    spelled_by_relation: bool = False
    #: A subquery, a CTE and a FROM item number columns of one name: `x`, `x_1`.
    numbers_columns: bool = False
    #: What VALUES calls its columns, with ``index`` from 0 and ``number`` from 1; "" if that was
    #: not looked up.
    values_column: str = ""
    #: `*` shows the columns of USING first, as the standard says.
    using_first: bool = True
    #: A column of USING has the type of the left side.
    using_type_is_left: bool = False
    #: `name.upper()` is a function of the column.
    methods: bool = False
    #: The functions that make several rows of one, as a column of SELECT.
    multiplies: Callable[[], frozenset[type[exp.Expr]]] = _SPREADING
    #: `generate_series(...)` and `range(...)` in FROM have one column, with the function's name.
    series_column: bool = False
    #: `unnest(...)` of structs, as a column of SELECT, gives a column for each of their fields.
    unnest_spreads: bool = False
    #: The type of the column that UNPIVOT fills with names.
    unpivot_type: str = ""

    # --- Types --------------------------------------------------------------------------------

    #: The warehouse's own word for a type, "" if it is not sure. None: sqlglot's spelling.
    type_word: Callable[[exp.DataType], str] | None = None
    #: Types that ``type_word`` returns as they are, in capitals: sqlglot is not imported for them.
    plain_types: frozenset[str] = frozenset()
    #: A key of a type, by which it is compared with others; "" if it is not sure.
    type_identity: Callable[[exp.DataType], str] | None = None
    #: What holds the values of a type that only other dialects have; "" if nothing does, and None
    #: for any other type.
    foreign_type: Callable[[exp.DType], str | None] = never_foreign
    #: The type of an expression by the dialect's own rules, beside those that all dialects share.
    expression_type: Callable[[TypeOf, exp.Expr], str] = unknown_type

    # ------------------------------------------------------------------------------------------

    def fold(self, name: str, quoted: bool = False) -> str:
        """A part of a table's name as it is compared: two spellings of one table fold to one."""
        return (self.quoted if quoted else self.unquoted)(name)

    def placeholder(self, name: str) -> str:
        """A named placeholder as a text of this dialect has it. Where it has none, a comment binds
        the literal behind it."""
        mark = "$" if "$" in self.placeholder_marks else self.placeholder_marks[:1]
        return f"{mark}{name}" if mark else f"/*${name}*/"

    @property
    def names_have_case(self) -> bool:
        """Whether an unquoted name in another case is another name."""
        return self.unquoted is kept

    @property
    def columns_keep_case(self) -> bool:
        """Whether a relation's column is spelled as the query names it without quotes."""
        return self.column is kept and self.unquoted is not upper

    def is_system(self, parts: tuple[str, ...]) -> bool:
        """Whether the warehouse itself provides the table: a catalog view, never a model."""
        folded = [part.lower() for part in parts]
        if self.joins_parts:
            folded = ".".join(folded).split(".")
        name, schema = folded[-1], folded[-2] if len(folded) > 1 else ""
        if "information_schema" in folded[:-1] or name in self.system_tables_anywhere:
            return True
        if len(folded) == 3 and folded[0] in self.system_catalogs:
            return True
        if len(folded) > 1 and schema in self.system_schemas:
            return True
        bare = len(folded) == 1
        if bare and self.system_table is not None and self.system_table.match(name):
            return True
        return name in self.system_tables and (bare or schema == self.system_tables_home)

    def type_name(self, node: exp.Expr) -> str:
        """The warehouse's word for a type as written in a cast or a declaration; "" if not sure."""
        from sqlglot import exp

        if not isinstance(node, exp.DataType):
            return ""
        return node.sql(self.name).upper() if self.type_word is None else self.type_word(node)

    def type_key(self, text: str) -> str:
        """A type such that two are one type exactly if their keys are equal; "" if not sure."""
        if self.type_identity is None or not text:
            return ""
        from sqlglot import exp

        try:
            node = exp.DataType.build(text, dialect=self.name)
        except Exception:  # as in declared_type
            return ""
        return self.type_identity(node)

    def declared_type(self, text: str) -> str:
        """A type that YAML declares, in the warehouse's word; as written if it is not known."""
        if self.type_word is None or not text:
            return text
        plain = text.upper()
        return plain if plain in self.plain_types else _declared_type(self, text)

    def own_type(self, text: str) -> str:
        """The type of a column that we add, in the warehouse's word."""
        return self.declared_type(self.moment if text == "timestamp" else text)


@lru_cache(maxsize=4096)
def _declared_type(dialect: Dialect, text: str) -> str:
    """A project declares few types, and thousands of columns."""
    from sqlglot import exp

    assert dialect.type_word is not None
    try:
        return dialect.type_word(exp.DataType.build(text, dialect=dialect.name)) or text
    except Exception:  # sqlglot raises many kinds; a type that it does not know is still a type
        return text
