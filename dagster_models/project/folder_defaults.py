"""``models:``, ``seeds:`` and ``scripts:`` of dagster_models.yaml: defaults by folder and file.

dbt's shape is understood: the project's name around it all, and ``+`` before settings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from dagster_models.core.model import Location
from dagster_models.project.config import DEFAULT_KEYS, LATER, Values
from dagster_models.project.files import ProjectFile
from dagster_models.project.problems import Report, problem
from dagster_models.project.settings import Settings
from dagster_models.project.yaml.fields import read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

Path = tuple[str, ...]
"""Folders below models/, seeds/ or scripts/, and perhaps a file's stem: ("marts", "delays")."""

FolderDefaults = Mapping[str, Mapping[Path, Values]]
"""models, seeds or scripts -> the settings that are written for each path below it."""


def read_folder_defaults(
    settings: Settings, places: Mapping[str, Collection[Path]], report: Report
) -> FolderDefaults:
    """The defaults that the project file sets. ``places`` are the paths that there are, by folder:
    a key that is one of them is a folder or file, any other one is a setting."""
    nodes = {"models": settings.models, "seeds": settings.seeds, "scripts": settings.scripts}
    result = {}
    for folder, node in nodes.items():
        result[folder] = found = dict[Path, Values]()
        if node is not None:
            unwrapped = _unwrapped(node, places[folder], settings.name)
            _read(unwrapped, (), folder, places[folder], report, found)
    return result


def layers_for(defaults: FolderDefaults, file: ProjectFile) -> Iterator[Values]:
    """The settings that hold for *file*, those of the outermost folder first."""
    by_path = defaults.get(file.folder, {})
    depths = range(len(file.parts) + 1) if by_path else ()
    return (by_path.get(file.parts[:depth], {}) for depth in depths)


def _unwrapped(node: YamlNode, places: Collection[Path], project: str) -> YamlNode:
    inner = node.value.get(project) if isinstance(node.value, dict) else None
    if inner is None or len(node.value) > 1 or (project,) in places:
        return node
    return inner if isinstance(inner, YamlNode) else node


def _read(
    node: YamlNode,
    path: Path,
    folder: str,
    places: Collection[Path],
    report: Report,
    found: dict[Path, Values],
) -> None:
    """Put the settings of *node*, which is about *path*, into *found*, and those below it."""
    readers = DEFAULT_KEYS[folder]
    if not isinstance(node.value, dict):
        found[path] = read_mapping(node, readers, report)
        return
    settings: dict[str, YamlNode] = {}
    keys: dict[str, Location] = {}
    for key, place, item in node.items():
        inside = (*path, key)
        is_setting = key.removeprefix("+") in readers
        if inside in places and (not is_setting or isinstance(item.value, dict)):
            _read(item, inside, folder, places, report, found)
        elif not is_setting and isinstance(item.value, dict):
            names = {other[-1] for other in places if other[:-1] == path}
            what = f"there is no folder or file `{'/'.join(inside)}` in {folder}/"
            fix = suggest(key, {*names, *readers}, "There are")
            report(problem(what, place, fix, "warning"))  # it may get its first file later
        else:
            settings[key.removeprefix("+")], keys[key.removeprefix("+")] = item, place
    found[path] = read_mapping(YamlNode(settings, node.place, keys), readers, report, LATER)
