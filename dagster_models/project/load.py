"""A folder -> a Project: this runs the stages in order, and is the only entry point.

    dagster_models.yaml ─> Settings ──────────┐
    models/ scripts/ seeds/ checks/ ─> files ─┴─> drafts ─> linked steps ─> their columns ─> Project
    models_jinja/ ─> rendered as files ─┘

Every problem on the way is collected, so that one ProjectError has them all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dagster_models.core.model import Key, Project, Source, Step
from dagster_models.errors import Problem, ProjectError
from dagster_models.project.ahead import Ahead
from dagster_models.project.attached import attached_names, check_sources
from dagster_models.project.broken import Blame
from dagster_models.project.built_schemas import BuiltSchema, remembered
from dagster_models.project.described import read_described
from dagster_models.project.drafts.checks import check_queries, check_uses
from dagster_models.project.drafts.draft import DraftContext, NameUse
from dagster_models.project.drafts.drafts import make_drafts, parse_when_asked
from dagster_models.project.drafts.kept import KeptDrafts
from dagster_models.project.drafts.templates import refuse_without_setting, rendered
from dagster_models.project.ephemeral import taken_out
from dagster_models.project.files import ProjectFiles, module_reader, read_file, read_files
from dagster_models.project.folder_defaults import read_folder_defaults
from dagster_models.project.former import models_seen, remember_models
from dagster_models.project.linking.link import link
from dagster_models.project.loading.sql_reader import SqlReader
from dagster_models.project.partitioned import resolve_partitions
from dagster_models.project.problems import Report, errors_of
from dagster_models.project.python.sql_function import RunSqlFunction
from dagster_models.project.refused_names import report_refused_names
from dagster_models.project.settings import PROJECT_FILE, Settings, read_settings
from dagster_models.project.settings import target_path_of as settings_target_path
from dagster_models.project.source_freshness import check_awaited
from dagster_models.project.sources import read_sources
from dagster_models.project.templates import PlacedInTemplates, RenderTemplates
from dagster_models.project.trace import TraceContext, trace_steps
from dagster_models.project.variables import GivenText
from dagster_models.project.yaml.nodes import YamlNode, read_yaml
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.parsed_texts import ParsedTexts, Text
from dagster_models.util.gc_tuning import rare_collections


def load(
    root: str | os.PathLike[str],
    *,
    run_sql_function: RunSqlFunction,
    render_templates: RenderTemplates,
    sources: Sequence[Source] = (),
    texts: Mapping[Text, ParsedSql] | None = None,
    drafts: KeptDrafts | None = None,
    environ: Mapping[str, str] | None = None,
    columns: bool = True,
    errors_only: bool = False,
    unknown_columns: str | None = None,
    whole: bool | None = True,
    target_path: str | None = None,
    given: GivenText | None = None,
) -> Project:
    """The project in the folder *root*, resolved.

    Args:
        run_sql_function, render_templates: run users' code. The load itself runs none.
        sources: the tables of other Dagster assets, with ``asset_key`` set, of which some are read.
        texts, drafts: ``Project.texts`` and drafts of an earlier load, so that none is made twice.
        environ: fills in ``${NAME}`` of targets (default: the process's environment).
        columns: find out each step's columns and their lineage too, which is half of the work.
        errors_only: for its problems alone: it has no code versions, and no text is cached.
        unknown_columns: overrides the project file's own setting.
        whole: whether an error of one file is one of the whole project. If False, ``warnings`` and
            the steps and sources keep those of other files. None: as ``load:`` says.
        target_path: the folder of the caches (default: the project's own).
        given: values of variables, which go before all others.

    Raises:
        ProjectError: holds all problems. Mere warnings are in ``Project.warnings`` instead.
    """
    root = os.path.abspath(root)
    report, parsed = PlacedInTemplates(), ParsedTexts(texts or {}, normalize=not errors_only)
    settings, files = _read(root, os.environ if environ is None else environ, report, given)
    folder = target_path or settings.target_path
    with rare_collections(), SqlReader(folder) as reader:
        context = _draft_context(root, settings, files, parsed, run_sql_function, report, reader)
        of_steps = rendered(files.of_steps_and_checks, context, render_templates, report, folder)
        declared, uses, sources = _sources(context, sources)
        built, seen = remembered(folder), models_seen(folder)
        ahead = Ahead(settings, (*declared, *sources), built) if columns else None
        parse_all = parse_when_asked if errors_only else reader.parse_all
        made, checks = make_drafts(of_steps, context, parse_all, ahead, drafts)
        blame = Blame(report.problems, made, of_steps, context.described)
        former = () if target_path else {*built, *seen}  # later ones were never models of this one
        how = (settings.unknown_references, report, former, uses, attached_names(settings.targets))
        unread = {} if whole else context.described.unread(report.problems)  # or it is enough
        steps, known = link(made, checks, declared, sources, *how, unread)
        level = unknown_columns or settings.unknown_columns
        tracing = TraceContext(settings.dialect, level, report, reader.trace) if columns else None
        steps, ephemerals = _with_columns(steps, known, built, tracing, blame, settings, report)
    _raise_errors(report.problems, whole, blame, settings)
    if whole is None:
        remember_models(folder, seen, (*steps, *ephemerals))
    known, found = blame.marked_sources(known), ProjectError(report.problems).problems
    empty = replace(settings.project(root), target_path=folder, texts=parsed.known)
    return replace(empty, steps=steps, ephemerals=ephemerals, sources=known, warnings=found)


def _draft_context(
    root: str,
    settings: Settings,
    files: ProjectFiles,
    parsed: ParsedTexts,
    run_sql_function: RunSqlFunction,
    report: Report,
    reader: SqlReader,
) -> DraftContext:
    """What the drafts are made with, which is what files say of other files."""
    described = read_described(files.of_steps_and_checks, files.of_yaml, report)
    defaults = read_folder_defaults(settings, files.places, report)
    read_module = module_reader(root)
    known = (root, settings, defaults, parsed, run_sql_function, read_module, report)
    context = DraftContext(*known, reader.look_at_seed, described=described, built=files.built)
    return replace(context, queries=check_queries(files.of_steps_and_checks, context))


def _with_columns(
    steps: Mapping[Key, Step],
    known: Mapping[Key, Source],
    built: Mapping[str, BuiltSchema],
    tracing: TraceContext | None,
    blame: Blame,
    settings: Settings,
    report: Report,
) -> tuple[dict[Key, Step], dict[Key, Step]]:
    """The steps that run, and the ephemeral models, with their columns unless there is no
    *tracing*. Those that have errors are marked: an ephemeral model with one is a step."""
    traced = trace_steps(steps, known, built, tracing) if tracing else steps
    target = settings.targets.get(settings.default_target)
    report_refused_names(traced, target, report)
    running, ephemerals = taken_out(blame.marked(traced))
    if tracing:
        found = resolve_partitions(running, known, settings.partitions, tracing.report)
        running = blame.marked(found)
    return running, ephemerals


def target_path_of(root: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> str:
    """The folder in which the project's journals and results are, without loading the project."""
    root = os.path.abspath(root)
    node = _read_project_file(root, lambda problem: None)
    return settings_target_path(node, root, os.environ if environ is None else environ)


def _raise_errors(
    problems: Sequence[Problem], whole: bool | None, blame: Blame, settings: Settings
) -> None:
    """Raise all problems if one is an error (if not *whole*: an error of the project file, or that
    there is no such folder). None: as the project file says."""
    if whole is None:
        whole = settings.load == "strict" or bool(blame.of_nothing())
    errors = errors_of(problems)
    if errors and (whole or any(_is_of_all(problem.path) for problem in errors)):
        raise ProjectError(problems)


def _is_of_all(path: str) -> bool:
    """Whether a problem there is one of the whole project."""
    return "/" not in path or os.path.isabs(path)


def _read(
    root: str, environ: Mapping[str, str], report: Report, given: GivenText | None
) -> tuple[Settings, ProjectFiles]:
    """What dagster_models.yaml says, and the files beside it."""
    file = _read_project_file(root, report)
    settings = read_settings(file, root, environ, report, given)
    files = read_files(root, report, templates=settings.jinja is not None)
    refuse_without_setting(root, file, report)
    if file is not None and not os.path.isdir(os.path.join(root, "models")):
        fix = "Create it: each .sql or .py file in it builds one table or view."
        report(Problem("there is no models/ folder", "models", fix=fix))
    return settings, files


def _read_project_file(root: str, report: Report) -> YamlNode | None:
    if not os.path.isdir(root):
        report(Problem("there is no such folder", root, fix="Check the path."))
        return None
    if not os.path.exists(os.path.join(root, PROJECT_FILE)):
        fix = "Create it. One line is enough: `name: my_project`."
        report(Problem(f"there is no {PROJECT_FILE} in this folder", PROJECT_FILE, fix=fix))
        return None
    read = read_file(root, PROJECT_FILE, report)
    return None if read is None else read_yaml(read[0], PROJECT_FILE, report)


def _sources(
    context: DraftContext, offered: Sequence[Source]
) -> tuple[list[Source], dict[Key, tuple[NameUse, ...]], list[Source]]:
    """The sources of the project's files, the names that their checks use, and those *offered*."""
    report, variables = context.report, context.settings.variables.values
    found = [
        replace(source, variables=variables) if source.checks else source
        for node in context.described.sources
        for source in read_sources(node, report, context.queries)
    ]
    check_sources(found, context.settings.targets, report)
    check_awaited(context.settings.schedules, found, report)
    uses = {it.key: check_uses(it, context) for it in found if it.checks}
    return found, uses, [replace(it, variables=variables) for it in offered]
