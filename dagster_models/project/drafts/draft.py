"""What a draft is, and what all drafts of a load are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dagster_models.core.checks import Check
from dagster_models.core.model import EMPTY, Location, Step
from dagster_models.errors import UnreadableSql
from dagster_models.project.checks.queries import CheckQuery
from dagster_models.project.described import Described
from dagster_models.project.folder_defaults import FolderDefaults
from dagster_models.project.problems import Report
from dagster_models.project.python.sql_function import RunSqlFunction
from dagster_models.project.settings import Settings
from dagster_models.sql.jinja import Built, refuse_jinja, unknown
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.parsed_texts import ParsedTexts
from dagster_models.util.seed_look import SeedLook, look_at


@dataclass(frozen=True, slots=True)
class DraftContext:
    """What the drafts of one load have in common.

    ``run_sql_function`` runs the user's ``def sql(vars)``. ``read_module`` returns the text of a
    Python file by its path below ``root``, None if there is none. ``look_at_seed`` says what is in
    the bytes of a seed. ``queries`` are those of checks/ that have arguments, by name.
    ``described`` is what YAML files say of models and seeds, and ``built`` what the project builds
    of a name.
    """

    root: str
    settings: Settings
    defaults: FolderDefaults
    texts: ParsedTexts
    run_sql_function: RunSqlFunction
    read_module: Callable[[str], str | None]
    report: Report
    look_at_seed: Callable[[bytes], SeedLook] = look_at
    queries: Mapping[str, CheckQuery] = EMPTY
    described: Described = field(default_factory=Described)
    built: Built = unknown

    def read_query(
        self,
        text: str,
        *,
        elsewhere: bool = False,
        header: str = "@model",
        in_yaml: bool = False,
    ) -> tuple[ParsedSql, UnreadableSql | None]:
        """What a query says. Where the parser does not know it and the project accepts that, or it
        is for another warehouse (``elsewhere``): what its tokens alone show, and the parser's
        error. *header*: how that of such a file begins. *in_yaml*: it is a value of YAML, in whose
        literals Jinja is refused, too. Raises SqlSyntaxError."""
        refuse_jinja(text, self.settings.dialect, header, in_literals=in_yaml, built=self.built)
        try:
            return self.texts.parse(text, self.settings.dialect), None
        except UnreadableSql as error:
            if self.settings.unreadable_sql != "warn" and not elsewhere:
                raise
            from dagster_models.sql.unread import read_tokens

            return read_tokens(text, self.settings.dialect), error


@dataclass(frozen=True, slots=True)
class NameUse:
    """A name that a file uses, and where.

    ``written`` is the name as it is looked up in ``Step.resolved``. ``may_be_script``: a header may
    name scripts, SQL cannot. ``required``: it must resolve, as a header or a check names it; a
    table in SQL may be one that nobody declared. ``check``: the check that reads it, "" for the
    step itself. ``is_written``: the file writes to it instead of reading it. ``certain``: it names
    a relation; else it may be the name of a column, and is no problem if it means nothing.
    ``given_to``: a function that is given the name, and may or may not read it.
    ``beside``: it is in a statement beside the query, which may use the step's own relation.
    ``may_be_temporary``: the file creates a temporary table of that name, perhaps before.
    ``is_text``: the name is a text, and not a word of SQL. ``is_call``: it is called.
    """

    parts: tuple[str, ...]
    written: str
    place: Location
    may_be_script: bool = False
    required: bool = False
    check: str = ""
    is_written: bool = False
    certain: bool = True
    given_to: str = ""
    may_be_temporary: bool = False
    is_text: bool = False
    is_call: bool = False
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A step whose names are not resolved yet. ``feeds`` are the names in a script's
    ``downstream:``, of the steps that must run after it."""

    step: Step
    uses: tuple[NameUse, ...] = ()
    feeds: tuple[NameUse, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckDraft:
    """A file of checks/. ``model`` is the name that its header gives, if any. ``broken``: the query
    does not parse; ``uses`` are what its tokens alone show."""

    check: Check
    uses: tuple[NameUse, ...]
    model: NameUse | None = None
    broken: bool = False
