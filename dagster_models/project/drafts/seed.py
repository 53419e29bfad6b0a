"""The draft of a seed, and what a warehouse would silently change in its file."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dagster_models.errors import Problem
from dagster_models.project.config import merge
from dagster_models.project.drafts.draft import Draft, DraftContext
from dagster_models.project.drafts.step import check_uses, new_step
from dagster_models.project.files import ProjectFile
from dagster_models.project.folder_defaults import layers_for
from dagster_models.project.trace import seed_trace
from dagster_models.sql.canonical import canonical, version_of

_LONG = re.compile(r"\d{19}")  #: the greatest whole number of 64 bits has so many digits
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+")


def draft_seed(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a seed. Its version is the file's bytes; it is configured by
    dagster_models.yaml alone, as a CSV file has no header of ours."""
    values = merge(layers_for(context.defaults, file))
    step = new_step(file, "seed", values, context)
    types = step.config.column_types
    version = version_of(step.digest, canonical(types), str(step.relation))
    header = next(csv.reader(io.StringIO(file.text)), [])
    for what, fix in _wrong_in_header(header):
        context.report(Problem(what, file.path, 1, 1, fix))
    for line, name in _lossy(file.text, header, types):
        what = f"the column `{name}` has integers of more than 64 bits, which lose digits"
        fix = f"Declare its type: `column_types: {{{name}: varchar}}`, or `decimal(38)`."
        context.report(Problem(what, file.path, line, 1, fix, "warning"))
    found = seed_trace(header, types, context.settings.dialect)
    return Draft(replace(step, code_version=version, trace=found), check_uses(step.checks))


def _wrong_in_header(header: list[str]) -> Iterator[tuple[str, str]]:
    """What a warehouse would take, and change in silence: problem and fix."""
    names = [name.strip().lower() for name in header]
    for name in dict.fromkeys(name for name in names if name and names.count(name) > 1):
        yield f"two columns are named `{name}`", "Give each column of the first line its own name."
    if header and not all(names):
        yield "a column has no name", "Name every column in the first line."
    if len(header) == 1 and (found := re.search(r"[;\t|]", header[0])):
        divider = {"\t": "tabs"}.get(found[0], f"`{found[0]}`")
        yield (
            f"the columns are separated by {divider}, not by commas",
            "Save the file with commas between the columns.",
        )


def _lossy(text: str, header: list[str], types: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """The columns that DuckDB would read as DOUBLE (measured with 1.5) though whole numbers are in
    them: the line of the first one that is too long, and the column's name."""
    if not _LONG.search(text):  # nearly all seeds
        return
    typed = {name.lower() for name in types}
    open_ = {at: name for at, name in enumerate(header) if name.lower() not in typed}
    too_long: dict[int, int] = {}
    rows = csv.reader(io.StringIO(text))
    with contextlib.suppress(csv.Error):  # the warehouse reports it
        next(rows)
        for row in rows:
            for at, cell in enumerate(row):
                if at not in open_ or not cell:
                    continue
                if not _NUMBER.fullmatch(cell):
                    del open_[at]  # it is read as text
                elif _WHOLE.fullmatch(cell) and _is_too_long(cell):
                    too_long.setdefault(at, rows.line_num)
    yield from ((line, open_[at]) for at, line in too_long.items() if at in open_)


def _is_too_long(cell: str) -> bool:
    digits = cell.lstrip("+-0")
    return len(digits) > 19 or not -(2**63) <= int(cell) < 2**63  # (int refuses 5,000 digits)
