"""``dagster-models import-dbt PATH``: the files of a dbt project without Jinja, and a report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from dagster_models.cli.adoption_lines import adoption_json, adoption_lines, has_left
from dagster_models.cli.first_project import commands, home_texts
from dagster_models.cli.project import load
from dagster_models.cli.verify_options import add_verify
from dagster_models.cli.writing import write_new, writing
from dagster_models.dbt.adoption import AdoptedNode
from dagster_models.dbt.importing import Errors, Imported, ImportOptions, import_project
from dagster_models.dbt.kept import NO_TEMPLATE
from dagster_models.dbt.project.linked_files import links_to_files
from dagster_models.dbt.project.manifest import Manifest, read_manifest
from dagster_models.dbt.project.remarks import DBTS_OWN, EDIT_PATH
from dagster_models.dbt.report import ImportReport
from dagster_models.dbt.text.model_text import Way
from dagster_models.dbt.writing import FOLDER, WrittenFiles, write_files
from dagster_models.errors import Problem, ProjectError, SelectionError
from dagster_models.pages.dbt_import import import_page
from dagster_models.project.drafts.kept import KeptDrafts
from dagster_models.project.first_project import DEFINITIONS
from dagster_models.project.problems import errors_of
from dagster_models.util.atomic_file import replace_file
from dagster_models.util.gc_tuning import WITH_GARBAGE, a_load, frozen_heap

if TYPE_CHECKING:
    from dagster_models.dbt.verification.report import Verification

HELP = "write a project of a dbt project: its models without Jinja, its tests, seeds and settings"

_SHOWN = 5  #: models of each reason that the terminal names
_UP_TO_DATE = (
    "with --adopt: dbt has just built all of it, so tables, views and seeds are taken over, too,"
    " and runs with --only-changed leave them alone until something changes"
)
_FILES = {
    "new": "new",
    "updated": "updated",
    "same": "as they were",
    "kept": "edited here, and kept",
    "conflicts": "edited here and changed in dbt",
    "removed": "removed, as dbt no longer has them",
    "left": "gone in dbt, and edited here",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "the folder of the dbt project, in which `dbt parse` was run"
    parser.add_argument("path", type=Path, metavar="PATH", help=text)
    text = "the folder to write (default: beside PATH, with _models behind its name)"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=text)
    text = "the manifest to read, or its folder (default: target/manifest.json)"
    parser.add_argument("--manifest", type=Path, metavar="FILE", help=text)
    text = "the name of dbt's target, for models that ask for `target.name` (default: dev)"
    parser.add_argument("--target", default="dev", metavar="NAME", help=text)
    text = "what else `target` is asked for, as YAML: '{region: eu}'"
    parser.add_argument("--target-values", default="{}", metavar="YAML", help=text)
    text = "dbt's profiles.yml, or its folder (default: that in PATH), of which no secret is read"
    parser.add_argument("--profiles", type=Path, metavar="FILE", help=text)
    text = "values of variables, as dbt's own --vars takes them"
    parser.add_argument("--vars", default="{}", metavar="YAML", help=text)
    text = "keep these models as templates: names, folders, tags, as in other commands"
    parser.add_argument("--keep-jinja", default="", metavar="SELECT", help=text)
    text = "the files that were edited here settle their conflicts with dbt's"
    parser.add_argument("--accept", action="store_true", help=text)
    text = (
        "take over the tables of incremental models and snapshots that dbt has built, as they stand"
    )
    text += "; exit code 1 if one is left"
    parser.add_argument("--adopt", action="store_true", help=text)
    parser.add_argument("--up-to-date", action="store_true", help=_UP_TO_DATE)
    add_verify(parser)
    text = "print the report as JSON"
    parser.add_argument("--json", action="store_true", help=text)


def run(options: argparse.Namespace) -> int:
    """Exit code 1: there are conflicts, what is verified differs from dbt's, or a table is not
    adopted."""
    if options.up_to_date and not options.adopt:
        raise SelectionError("--up-to-date is said of what --adopt takes over: give both")
    root = options.path.resolve()
    into = (options.into or root.with_name(f"{root.name}_models")).resolve()
    given = ImportOptions(
        options.target,
        _mapping(options.target_values, "--target-values"),
        _mapping(options.vars, "--vars"),
        _file(options.profiles, "profiles.yml", "--profiles"),
        options.keep_jinja,
        into,
    )
    with TemporaryDirectory(prefix="dagster_models_") as folder, a_load(WITH_GARBAGE):
        manifest = read_manifest(root, _file(options.manifest, "manifest.json", "--manifest"))
        with frozen_heap():  # a manifest has a million objects
            imported = import_project(manifest, given, _trial_load(Path(folder)))
    with writing(into):
        done = write_files(into, imported.files, options.accept)
        links = links_to_files(manifest, into)
        for name, place in links.items():
            with contextlib.suppress(FileExistsError):
                (into / name).symlink_to(place)
        report = imported.report.with_files(done.paths())
        content = _write_report(into, report)
    for path, text in home_texts().items():
        write_new(into / path, text)
    found = _verified(options, manifest, imported, done, into)
    taken = _adopted(into, manifest, options)
    if found or taken:
        with writing(into):
            content = _write_report(into, report, found, taken)
    lines = [*_summary(report, done, links, into)]
    lines += _verification_lines(found) if found else ()
    lines += adoption_lines(taken) if taken else ()
    lines += ["\nCheck it, run it, and look at it in the UI:\n"]
    lines += commands(into, ["check", "run"], DEFINITIONS)
    for line in [content] if options.json else lines:
        print(line)
    return 1 if done.conflicts or (found and found.differs) or has_left(taken) else 0


def _verified(
    options: argparse.Namespace,
    manifest: Manifest,
    imported: Imported,
    done: WrittenFiles,
    into: Path,
) -> Verification | None:
    """What was written, beside what dbt makes. Few imports ask for it, so the others do without the
    modules that compare."""
    if not (options.verify or options.verify_tables):
        return None
    from dagster_models.cli.verifying import verified

    return verified(options, manifest, imported, done, into)


def _verification_lines(found: Verification) -> Iterator[str]:
    from dagster_models.cli.verifying import verification_lines

    return verification_lines(found)


def _adopted(
    into: Path, manifest: Manifest, options: argparse.Namespace
) -> tuple[AdoptedNode, ...]:
    """What became of dbt's tables. Few imports take them over, so the others do without the modules
    that reach a warehouse."""
    if not options.adopt:
        return ()
    from dagster_models.cli.adopting import adopted

    return adopted(into, manifest, options.up_to_date)


def _write_report(
    into: Path,
    report: ImportReport,
    found: Verification | None = None,
    taken: Sequence[AdoptedNode] = (),
) -> str:
    """Write the report in both forms; return its JSON."""
    values = report.as_json() | ({"verification": found.as_json()} if found else {})
    values |= {"adoption": adoption_json(taken)} if taken else {}
    content = json.dumps(values, indent=1, ensure_ascii=False)
    replace_file(into / FOLDER / "report.json", f"{content}\n")
    replace_file(into / FOLDER / "report.html", import_page(report, found, taken))
    return content


def _file(given: Path | None, name: str, option: str) -> Path | None:
    """The file of an option, which may name its folder. Raises SelectionError if it is missing."""
    if given is None:
        return None
    file = given / name if given.is_dir() else given
    if not file.is_file():
        what = (
            f"the folder {given} has no {name}" if given.is_dir() else f"there is no file {given}"
        )
        raise SelectionError(f"{option}: {what}")
    return file


def _trial_load(folder: Path) -> Errors:
    """What writes the files of a project there, loads it, and returns the first error of each file
    that does not load. What an earlier call has read is not read again."""
    texts: Mapping[Any, Any] = {}  # those of the project, see load()
    drafts = KeptDrafts()

    def errors_in(files: Mapping[str, str | bytes]) -> dict[str, str]:
        nonlocal texts
        write_files(folder, files, accept=False)
        problems: Sequence[Problem]
        try:
            project = load(
                folder, columns=False, whole=False, errors_only=True, texts=texts, drafts=drafts
            )
        except ProjectError as error:
            problems = error.problems
        else:
            problems, texts = project.warnings, project.texts
        found: dict[str, str] = {}
        for it in errors_of(problems):
            found.setdefault(it.path, it.what)
        return found

    return errors_in


def _mapping(text: str, option: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SelectionError(f"{option} is no YAML: {error}") from None
    if not isinstance(found, dict):
        raise SelectionError(f"{option} is no mapping, such as {{name: value}}: {text}")
    return found


def _summary(
    report: ImportReport, done: WrittenFiles, links: Mapping[str, str], into: Path
) -> Iterator[str]:
    place = os.path.relpath(into)
    ways = report.ways()
    yield f"{len(report.models)} models of the dbt project {report.project} are in {place}:"
    for way in Way:
        if ways.get(way):
            yield f"  {ways[way]:>6}  {way.value}"
    disabled = [it for it in report.models if it.disabled]
    if disabled:
        yield "Not imported, so disabled, with dbt's text beside them:"
        for why, count in Counter(it.why for it in disabled).most_common():
            names = [it.unique_id.rpartition(".")[2] for it in disabled if it.why == why]
            more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
            yield f"  {', '.join(names[:_SHOWN])}{more}: {why}"
    no_templates = [it for it in report.models if it.why.startswith(NO_TEMPLATE)]
    if no_templates:
        yield "Not kept as templates:"
        for it in no_templates:
            why = it.why.removeprefix(NO_TEMPLATE).partition("; ")[0]
            yield f"  {it.unique_id.rpartition('.')[2]}: {why}"
    if report.errors:
        yield "Does not load (a check of these is left out, and all else is to be mended by hand):"
        for path, what in report.errors.items():
            yield f"  {path}: {what}"
    frozen = Counter(name for it in report.models for name in it.frozen)
    if frozen:
        yield "Values of this moment that stand in texts:"
        for name, count in sorted(frozen.items()):
            yield f"  {name} in {count} model{'s' if count > 1 else ''}"
    hooks = [(of, what) for of, _, what in report.remarks if of.startswith("operation.")]
    if hooks:
        yield "Hooks of a whole run, which may make what models need:"
        for of, what in hooks:
            yield f"  {of.split('.')[1]}: {what}"
    for what in (what for _, _, what in report.remarks if what.endswith(DBTS_OWN)):
        yield f"{what[:1].upper()}{what[1:]}. For a trial, write another in dagster_models.yaml."
    weights = Counter(weight for _, weight, _ in report.remarks)
    weights.update(weight for it in report.models for weight, _ in it.remarks)
    if weights:
        shown = (f"{count} {weight}" for weight, count in sorted(weights.items()))
        yield f"Remarks: {', '.join(shown)}"
    counts = [f"{count} {_FILES[name]}" for name, count in done.counts()]
    yield f"Files: {', '.join(counts)}"
    for name, place in links.items():
        yield f"Link to the files of sources: {name} -> {place}"
    missing = [of.split(".", 2)[2] for of, _, what in report.remarks if what.endswith(EDIT_PATH)]
    if missing:
        yield f"Sources whose files no path here leads to: {', '.join(missing)}: {EDIT_PATH}"
    for path in done.conflicts:
        yield f"  conflict: {path} (dbt's: {FOLDER}/conflicts/{path})"
    yield f"The report: {os.path.relpath(into / FOLDER / 'report.html')}"
