"""dbt_project.yml of a project and of its packages: variables, which the manifest does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.entry import BadDbtFile, DbtEntry, read_yaml_file

PROJECT = "dbt_project.yml"
_VARIABLES = "vars.yml"  #: in dbt 1.12, in place of the key `vars`


@dataclass(frozen=True, slots=True)
class DbtProject:
    name: str
    folder: Path
    variables: Mapping[str, Any]  #: of all packages, and below a package's name those of that one
    dispatch: Mapping[str, tuple[str, ...]]  #: namespace -> packages in which macros are looked up
    target_path: str
    given: DbtEntry


def read_projects(root: Path) -> Mapping[str, DbtProject]:
    """The project of *root*, and then those of its packages, by their names.

    Raises:
        BadDbtFile: there is no dbt project, or a file is not as expected.
    """
    if not (root / PROJECT).is_file():
        raise BadDbtFile(f"{root} is no dbt project: it has no {PROJECT}")
    own = _read(root)
    found = {own.name: own}
    installed = root / own.given.text("packages-install-path", "dbt_packages")
    for file in sorted(installed.glob(f"*/{PROJECT}")):
        package = _read(file.parent)
        found.setdefault(package.name, package)
    return found


def _read(folder: Path) -> DbtProject:
    it = read_yaml_file(folder / PROJECT)
    variables = it.mapping("vars")
    if (folder / _VARIABLES).is_file():
        variables = read_yaml_file(folder / _VARIABLES).mapping("vars")
    return DbtProject(
        name=it.text("name"),
        folder=folder,
        variables=variables,
        dispatch=dict(_dispatch(it, one) for one in it.list("dispatch")),
        target_path=it.text("target-path", "target"),
        given=it,
    )


def _dispatch(it: DbtEntry, one: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(one, Mapping):
        raise it.wrong("dispatch", "a list of mappings with `macro_namespace` and `search_order`")
    inner = DbtEntry(it.file, "dispatch", one)
    return inner.text("macro_namespace"), inner.texts("search_order")
