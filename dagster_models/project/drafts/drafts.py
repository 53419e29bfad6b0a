"""All files of a project -> their drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain

from dagster_models.core.model import StepKind
from dagster_models.project.ahead import Ahead
from dagster_models.project.drafts.checks import draft_check
from dagster_models.project.drafts.draft import CheckDraft, Draft, DraftContext
from dagster_models.project.drafts.extras import with_extras
from dagster_models.project.drafts.kept import KeptDrafts
from dagster_models.project.drafts.python import draft_python, draft_script
from dagster_models.project.drafts.python_checks import draft_python_check
from dagster_models.project.drafts.seed import draft_seed
from dagster_models.project.drafts.sql import draft_sql
from dagster_models.project.drafts.step import new_step
from dagster_models.project.files import ProjectFile
from dagster_models.sql.parsed_texts import ParsedTexts, Text
from dagster_models.util.progress import tell

ParseAll = Callable[[ParsedTexts, Sequence[Text], "Ahead | None"], Iterable[int]]
"""Parses texts into a ParsedTexts. It yields the place of each text once it is parsed, or once it
is known not to parse: the draft of its file is made then, while others are parsed."""


def parse_when_asked(parsed: ParsedTexts, texts: Sequence[Text], ahead: Ahead | None) -> range:
    """A ParseAll that leaves the texts to their drafts, which parse what they ask for."""
    return range(len(texts))


def make_drafts(
    files: Sequence[ProjectFile],
    context: DraftContext,
    parse_all: ParseAll,
    ahead: Ahead | None = None,
    kept: KeptDrafts | None = None,
) -> tuple[list[Draft], list[CheckDraft]]:
    """The drafts of all steps and checks, in the order of their files."""
    sql = [place for place, file in enumerate(files) if file.ending == ".sql" and file.data]
    texts = [(files[place].text, context.settings.dialect, True) for place in sql]
    others = sorted(set(range(len(files))).difference(sql))
    if ahead is not None:
        ahead.expect([files[place] for place in sql], [files[place] for place in others])
    if kept is not None:
        kept.begin(files, context)
    made: dict[int, Draft | CheckDraft | None] = {}
    read = ((sql[at], at) for at in parse_all(context.texts, texts, ahead))
    for place, at in chain(((place, None) for place in others), read):
        file = files[place]
        draft = kept.draft(file, context, _draft_of) if kept else _draft_of(file, context)
        made[place] = draft
        if ahead is not None:
            ahead.drafted(draft.step if isinstance(draft, Draft) else None, at)
        tell("files read", len(made), len(files))
    in_order = [made[place] for place in range(len(files))]
    drafts = [draft for draft in in_order if isinstance(draft, Draft)]
    variables = context.settings.variables
    variables.refuse_unknown((it.step.variables for it in drafts), context.report)
    return drafts, [check for check in in_order if isinstance(check, CheckDraft)]


def _draft_of(file: ProjectFile, context: DraftContext) -> Draft | CheckDraft | None:
    draft = _bare_draft_of(file, context)
    return with_extras(draft, context) if isinstance(draft, Draft) else draft


def _bare_draft_of(file: ProjectFile, context: DraftContext) -> Draft | CheckDraft | None:
    if not file.data:
        return _draft_unread(file, context)
    if file.folder == "checks":
        draft = draft_python_check if file.ending == ".py" else draft_check
        return draft(file, context)
    if file.folder == "seeds":
        return draft_seed(file, context)
    if file.folder == "scripts":
        return draft_script(file, context)
    return draft_python(file, context) if file.ending == ".py" else draft_sql(file, context)


def _draft_unread(file: ProjectFile, context: DraftContext) -> Draft | None:
    """The name alone of a file that could not be read: others may use it all the same."""
    if file.folder == "checks":
        return None
    kinds: dict[str, StepKind] = {"seeds": "seed", "scripts": "script"}
    silent = replace(context, report=lambda problem: None)
    return Draft(new_step(file, kinds.get(file.folder, "sql"), {}, silent))
