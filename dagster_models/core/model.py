"""The values of a project: frozen, comparable, and free of I/O.

A *model* builds one relation, a *script* builds none, a *seed* is a CSV file, a *source* is read
but not built here, and a *check* is a query that must return no rows. A ``Step`` is what Dagster
runs as one step: a model, a seed or a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dagster_models.core.environments import Environment
from dagster_models.core.extras import Export, Index, UserStatement
from dagster_models.core.freshness import Freshness
from dagster_models.core.on_ray import USUAL_CLUSTER, RayCluster, RayNeeds
from dagster_models.core.partitions import (
    Automation,
    PartitionsConfig,
    PartitionSet,
    StepPartitions,
)
from dagster_models.core.retries import NO_RETRIES, Retries
from dagster_models.core.target_types import TargetType
from dagster_models.core.template_origin import TemplateOrigin
from dagster_models.core.traced import NOTHING_TRACED, Trace
from dagster_models.errors import Problem

if TYPE_CHECKING:
    from dagster_models.core.checks import Check
    from dagster_models.core.jobs import Job, Schedule


class _Empty(Mapping[str, Any]):
    """The empty mapping. A MappingProxyType has no hash before Python 3.12, so dataclasses refuse
    it as a default."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


EMPTY: Mapping[str, Any] = _Empty()


class Key(NamedTuple):
    """The asset key of a step or source: [schema, name], before any target's schema prefix."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view with its full name in one warehouse, unquoted."""

    schema: str
    name: str
    catalog: str | None = None

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.name) if part)

    @property
    def quoted(self) -> str:
        """The full name as SQL, with each part quoted as in standard SQL."""
        parts = (part for part in (self.catalog, self.schema, self.name) if part)
        return ".".join('"{}"'.format(part.replace('"', '""')) for part in parts)

    @property
    def folded(self) -> tuple[str, str]:
        """Schema and name, whatever the case: a warehouse may take both for one relation."""
        return self.schema.lower(), self.name.lower()


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file. ``path`` is relative to the project's folder; counts start at 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A relation as written in SQL, before it is resolved.

    ``parts`` are the name's parts without quotes, outermost first; parts that were not quoted are
    folded by the dialect's rule. ``start`` and ``end`` are the offsets, in characters, of the whole
    dotted name in the text (end exclusive), quotes included. ``aliased``: it must not get
    an alias, because the SQL already gives it one or has no room for one. ``written``: the
    statement writes to it (only in the SQL of a Python file). ``certain``: it can only name a
    relation. Otherwise it may also be a column, as in ClickHouse's `x in y`, and it is taken for
    one if no relation has that name. ``in_string``: the name is inside a string of the SQL.
    ``call``: it is called, so it names a function, of the project or of the warehouse.
    """

    parts: tuple[str, ...]
    start: int
    end: int
    line: int
    column: int
    aliased: bool = False
    written: bool = False
    certain: bool = True
    in_string: bool = False
    call: bool = False

    @property
    def name(self) -> str:
        """The parts joined by dots. A part that has a dot itself is quoted: "a.b" is not a.b. That
        of a function ends with `()`, as a table may have the same name."""
        if len(self.parts) == 1 and "." not in self.parts[0] and not self.call:
            return self.parts[0]
        name = ".".join(f'"{part}"' if "." in part else part for part in self.parts)
        return f"{name}()" if self.call else name


@dataclass(frozen=True, slots=True)
class Column:
    """What a header or sources.yaml says of a column."""

    name: str
    description: str = ""
    type: str = ""
    location: Location = field(default=Location(""), compare=False)


OnError = Literal["skip_downstream", "continue", "abort"]


@dataclass(frozen=True, slots=True)
class SinceConfig:
    """``since:`` of an incremental model: where `$since` comes from.

    Its value is the largest one of ``column`` in the table, less ``lookback`` (a number or interval
    as SQL, "" for none), and ``begin``, a plain value, where the table is new or empty.
    """

    column: str
    lookback: str = ""
    begin: Any = None


@dataclass(frozen=True, slots=True)
class Config:
    """The settings that decide how a step is built and shown; the keys are dbt's words."""

    materialized: str = "view"  #: a word of materializations.KINDS
    alias: str | None = None
    schema: str | None = None
    enabled: bool = True
    description: str = ""
    owner: tuple[str, ...] = ()
    group: str | None = None
    tags: tuple[str, ...] = ()  #: `name`, or `name=value` as Dagster's selections write it
    kinds: tuple[str, ...] = ()  #: what Dagster shows beside those that it gets from the file
    meta: Mapping[str, Any] = EMPTY
    columns: tuple[Column, ...] = ()
    contract: bool = False  #: the relation has exactly these columns, with these types
    upstream: tuple[str, ...] = ()  #: names of what it reads that the text does not show
    downstream: tuple[str, ...] = ()  #: scripts: names of what must run after it
    column_types: Mapping[str, str] = EMPTY  #: seeds: column -> type
    pool: str | None = None  #: Dagster's concurrency pool
    priority: int = 0  #: the dagster/priority tag
    retries: Retries = NO_RETRIES
    on_error: OnError = "skip_downstream"
    timeout_seconds: float | None = None
    runner: RayNeeds | None = None  #: Python: None for a process on this machine
    automation: Automation | None = None
    freshness: Freshness | None = None  #: how long after one materialization the next one is due
    #: A name in ``upstream`` -> which of its partitions are read, where the header says so.
    upstream_partitions: Mapping[str, str] = EMPTY
    deterministic: bool | None = None  #: whether the same rows always give the same relation
    # Of incremental models, and some of snapshots.
    strategy: str = ""  #: append | delete+insert | merge | replace; "" is decided by the keys below
    unique_key: tuple[str, ...] = ()
    # What a merge writes of a row whose key is there: these columns, or all but those; () for all.
    merge_update_columns: tuple[str, ...] = ()
    merge_exclude_columns: tuple[str, ...] = ()
    # Which rows a merge writes: those whose key is there, and all others; "" for all.
    merge_update_condition: str = ""
    merge_insert_condition: str = ""
    incremental_predicates: tuple[str, ...] = ()  #: which rows of a key are replaced
    since: SinceConfig | None = None
    on_schema_change: str = "fail"
    on_code_change: str = "warn"  #: of the rows that are there: warn | keep | full_refresh
    partitions: PartitionsConfig | None = None
    batch: int | None = None  #: partitions of one transaction; None for all of a build
    full_refresh: bool | None = None  #: False: never, also if a run asks for it; True: always
    # Of functions.
    arguments: tuple[tuple[str, str], ...] = ()  #: (name, type)
    returns: tuple[tuple[str, str], ...] = ()  #: (column, type); ("", type) for one value
    settings: Mapping[str, Any] = EMPTY  #: of a kind of the project's own
    from_target: str = ""  #: copies: the target whose rows they are
    # Of snapshots, whose strategy is timestamp or check.
    updated_at: str = ""
    check_cols: tuple[str, ...] = ()  #: () for all
    hard_deletes: str = "ignore"
    valid_to_current: str = ""  #: YYYY-MM-DD HH:MM:SS, "" for NULL
    snapshot_meta_column_names: Mapping[str, str] = EMPTY
    # What a build does besides the rows of its relation: see core.extras.
    pre_statements: tuple[UserStatement, ...] = ()
    post_statements: tuple[UserStatement, ...] = ()
    grants: Mapping[str, tuple[str, ...]] = EMPTY  #: privilege -> roles
    indexes: tuple[Index, ...] = ()
    persist_docs: tuple[str, ...] = ()  #: "relation", "columns" or both
    export: Export | None = None


StepKind = Literal["sql", "python", "seed", "script", "source"]


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file of the project that steps import. ``digest`` and ``code`` are those of Step."""

    path: str
    digest: str
    code: str


@dataclass(frozen=True, slots=True)
class Step:
    """A model (kind sql or python), a seed or a script: one asset, one Dagster step; or the checks
    of a source, which have a step and build no asset (see ``checks_of``).

    ``sql`` is the query as written (the file's text, or what ``def sql(vars)`` returned); it is ""
    for other kinds. ``full_sql`` is the text for a build in full, "" where that is no other: as
    long as ``sql``, with blanks for what is left out. ``resolved`` maps each name as written to its
    key, and ``upstream`` holds each key once, in the order in which the ``references`` appear.
    ``queries`` are the literal SQL texts of a Python file, which are compiled before its process
    starts, so that it needs no parser; each with the names in it, in lower case, that are not
    replaced, as they mean temporary tables. ``sql_line`` is the line of `def sql` if the query was
    generated, 0 if it is in the file itself. ``trace`` is what is known of its columns,
    ``partitions`` how it is partitioned. ``digest`` is that of a file's bytes if the file is read
    again when the step runs (Python, a seed), and ``code`` that of its code without comments
    (Python); ``modules`` are the project's modules that it imports. Of the project's own kinds,
    ``kind_path`` is the file, and these three are that file's. ``environment``: that of a script
    with packages of its own. ``beside`` are the references in its pre- and post-statements.
    ``template``: how a template of models_jinja/ became ``sql``, None for any other file.
    ``problems`` are the errors for which it cannot be built, ``undeclared`` warnings of names that
    it reads and nobody declares.
    """

    key: Key
    kind: StepKind
    location: Location
    config: Config
    relation: Relation | None  #: None for a script, an ephemeral model, and where nobody knows
    sql: str = ""
    full_sql: str = ""
    references: tuple[Reference, ...] = ()
    resolved: Mapping[str, Key] = EMPTY
    upstream: tuple[Key, ...] = ()
    queries: Mapping[str, frozenset[str]] = EMPTY
    checks: tuple[Check, ...] = ()
    code_version: str = ""
    variables: Mapping[str, Any] = EMPTY
    sql_line: int = 0
    trace: Trace = NOTHING_TRACED
    digest: str = ""
    code: str = ""
    modules: tuple[Module, ...] = ()
    beside: tuple[Reference, ...] = ()
    partitions: StepPartitions | None = None
    kind_path: str = ""
    environment: Environment | None = None
    template: TemplateOrigin | None = None
    problems: tuple[Problem, ...] = ()
    undeclared: tuple[Problem, ...] = ()

    @property
    def built_as(self) -> str:
        """The word of ``materialized:`` for a model, also one in Python; else its kind."""
        return self.config.materialized if self.kind in ("sql", "python") else self.kind

    def place(self, line: int, column: int = 1) -> Location:
        """The place in its file of a place in ``sql``."""
        if self.template is not None:
            return Location(self.location.path, self.template.line_of(line))
        return Location(self.location.path, line, column)


@dataclass(frozen=True, slots=True)
class Source:
    """A relation that is read but not built here.

    ``asset_key`` is set if somebody else defines it as a Dagster asset, ``partitions`` is the
    column by which its readers may be partitioned. ``resolved`` maps the names that its checks read
    to their keys, ``variables`` are those of the project, and ``problems`` are its errors.
    """

    key: Key
    relation: Relation
    location: Location
    description: str = ""
    columns: tuple[Column, ...] = ()
    meta: Mapping[str, Any] = EMPTY
    asset_key: tuple[str, ...] | None = None
    partitions: PartitionsConfig | None = None
    checks: tuple[Check, ...] = ()
    resolved: Mapping[str, Key] = EMPTY
    variables: Mapping[str, Any] = EMPTY
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of ``targets:``: a warehouse with a schema prefix and a number of threads.

    ``settings`` are those of its type; the path of a database file is absolute. ``catalog`` is the
    database's own name, where a schema of the same name would be ambiguous.
    """

    name: str
    type: TargetType
    settings: Mapping[str, Any] = EMPTY
    schema_prefix: str = ""
    threads: int | None = None
    catalog: str | None = None

    def is_ambiguous(self, schema: str) -> bool:
        """Whether a schema has the name of a database: then `schema.name` may also be a relation of
        that database, and the name needs its catalog."""
        attached = map(str.lower, self.settings.get("attach", ()))
        databases = {self.catalog.lower(), *self.type.databases, *attached} if self.catalog else ()
        return schema.lower() in databases


@dataclass(frozen=True, slots=True)
class KeepRuns:
    """How many runs leave their journals behind, and for how long."""

    number: int = 100
    seconds: float = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class Project:
    """A whole project, with all names resolved: what its files say, and nothing else.

    ``target_path`` is the folder in which everything is written that belongs to the project, such
    as caches, journals and results. ``key_prefix`` goes before its asset keys, and before the names
    of ops and jobs; ``steps`` are in topological order. ``defaults`` holds the defaults of runs
    (fail_fast, max_concurrent). ``code_url`` is where the folder is on the web, "" if unknown.
    """

    name: str
    root: str
    target_path: str
    dialect: str
    targets: Mapping[str, Target]
    default_target: str
    steps: Mapping[Key, Step]
    sources: Mapping[Key, Source] = field(default_factory=dict)
    #: Models without a relation and a step: their queries stand in those that read them.
    ephemerals: Mapping[Key, Step] = field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    key_prefix: tuple[str, ...] = ()
    partitions: Mapping[str, PartitionSet] = field(default_factory=dict)
    defaults: Mapping[str, Any] = EMPTY
    code_url: str = ""
    ray: RayCluster = USUAL_CLUSTER
    #: Values of variables that are not shown, as texts.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[Problem, ...] = ()  #: and the errors that its steps and sources have
    strict: bool = False  #: an error in one file is one of the project
    #: Each SQL text as parsed (sql.parsed_texts), so that none is parsed again.
    texts: Mapping[Any, Any] = field(default=EMPTY, compare=False, repr=False)
