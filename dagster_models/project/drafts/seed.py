"""The draft of a seed, and what is wrong or doubtful in its file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.errors import Problem
from dagster_models.project.drafts.checks import check_uses
from dagster_models.project.drafts.draft import Draft, DraftContext
from dagster_models.project.drafts.step import layered, new_step
from dagster_models.project.files import ProjectFile
from dagster_models.project.trace import seed_trace
from dagster_models.sql.canonical import canonical, version_of
from dagster_models.util.nearest import suggest
from dagster_models.util.seed_look import SeedLook


def draft_seed(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a seed. Its version is the file's bytes; it is configured by
    dagster_models.yaml and by YAML files, as a CSV file has no header of ours."""
    values = layered(file, context, {})
    step = new_step(file, "seed", values, context)
    types = step.config.column_types
    version = version_of(step.digest, canonical(types), str(step.relation))
    look = context.look_at_seed(file.data)
    if look.bad is not None:
        what, line = look.bad
        fix = 'Write the values of a row between commas, and a text with a comma or a " in quotes.'
        context.report(Problem(what, file.path, line, 1, fix))
    for what, fix in (*_wrong_in_header(look.names), *_unknown(look.names, types)):
        context.report(Problem(what, file.path, 1, 1, fix))
    for line, what, fix in _doubtful(look, types):
        context.report(Problem(what, file.path, line, 1, fix, "warning"))
    found = seed_trace(look.names, types, context.settings.dialect)
    return Draft(replace(step, code_version=version, trace=found), check_uses(step, context))


def _wrong_in_header(header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a warehouse would take, and change in silence: problem and fix."""
    names = [name.lower() for name in header]
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


def _unknown(header: Sequence[str], types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {name.lower() for name in header}
    for name in types:
        if header and name.lower() not in known:
            yield f"`column_types` names `{name}`, which is not a column", suggest(name, header)


def _doubtful(look: SeedLook, types: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """The columns whose type should be declared, and is not."""
    typed = {name.lower() for name in types}
    for name, line, cell in look.doubtful:
        if name.lower() in typed:
            continue
        what = (
            f"the column `{name}` stays text: a number, date or boolean made of `{cell}`"
            " might be another value"
        )
        fix = (
            f"Declare its type: `column_types: {{{name}: varchar}}`, or another one that its"
            " values fit exactly (dates are written as 2024-02-01)."
        )
        yield line, what, fix
