"""The SQL of a `relationships` check: exact, whatever the types of the two columns.

Where the types are alike the warehouse compares the columns itself, with their collations and
indexes. Else it would cast one of them, and a cast may lose what is to be checked: in DuckDB
'01' = 1 holds, and everywhere the double 9007199254740992 equals the whole number 9007199254740993.
Then both values are written as text (see core/value_forms.py), in the form that their types have in
common: a row passes if a text of its value is one of its parent's.
"""

from __future__ import annotations

from dagster_models.core.value_forms import ValueForms


def orphans(own: str, column: str, parent: str, field: str) -> str:
    """The rows of *own* without a parent, where both columns are of types that are alike."""
    return (
        f"select child.{column} as from_field\nfrom {own} as child\n"
        f"left join {parent} as parent on child.{column} = parent.{field}\n"
        f"where child.{column} is not null and parent.{field} is null"
    )


def are_alike(forms: ValueForms, own: str, column: str, parent: str, field: str) -> str:
    """The query whose one value says whether the types are alike. The relations may be empty."""

    def family(relation: str, of: str) -> str:
        one = f"select {of} as value_field from {relation} as related limit 1"
        return (
            f"(select {forms.family} from (select 1 as n) as one"
            f" left join ({one}) as typed on true)"
        )

    return f"select {family(own, column)} = {family(parent, field)}"


def orphans_across_types(forms: ValueForms, own: str, column: str, parent: str, field: str) -> str:
    """The rows of *own* without a parent, where the types differ."""
    in_common = (
        f"case when {forms.is_number} then {forms.joined_number}"
        f" when {forms.is_moment} then {forms.moment} else {forms.texts[0]} end"
    )

    def texts(relation: str, of: str) -> str:
        return (
            f"select value_field, {in_common} as in_common, {forms.texts[0]} as written\n"
            f"  from (select {of} as value_field from {relation} as related) as valued\n"
            "  where value_field is not null"
        )

    parents = f"({texts(parent, field)}) as parent"
    return (
        f"select value_field as from_field\nfrom ({texts(own, column)}) as child\n"
        f"where not exists (select 1 from {parents} where parent.in_common = child.in_common)\n"
        f"and not exists (select 1 from {parents} where parent.written = child.written)"
    )
