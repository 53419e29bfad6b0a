"""What a commit of a Delta table says of us, in its ``userMetadata``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from dagster_models.core.commit import Commit
from dagster_models.core.extras import Extras
from dagster_models.core.model import EMPTY
from dagster_models.errors import ErrorKind, WarehouseError

Kind: TypeAlias = Literal["table", "view", "function", "dropped"]

#: The key of the proof in ``userMetadata``, with the number of its format.
_MARK, _FORMAT = "dagster_models", 1


@dataclass(frozen=True, slots=True)
class Proof:
    """What one commit of the log says. ``commits`` is empty where it is not one of ours.

    ``definition`` is the query of a view, or what follows the name of a function. ``fenced``: the
    session that must not commit any more. ``says_kind``: the commit says what the relation is from
    here on. ``comment`` and ``columns`` are what is said of the relation and of its columns.
    """

    version: int
    commits: tuple[Commit, ...] = ()
    kind: Kind = "table"
    definition: str = ""
    fenced: str = ""
    says_kind: bool = False
    comment: str = ""
    columns: Mapping[str, str] = EMPTY


def proof_at(path: str, version: int) -> Proof:
    with open(path, encoding="utf-8") as file:
        for line in file:
            if '"commitInfo"' in line and (info := json.loads(line).get("commitInfo")):
                return read_proof(version, str(info.get("userMetadata") or ""))
    return Proof(version)


def read_proof(version: int, text: str) -> Proof:
    if _MARK not in text:
        return Proof(version)
    try:
        said = json.loads(text)
    except ValueError:
        return Proof(version)  # somebody else's words
    if not isinstance(said, dict) or _MARK not in said:
        return Proof(version)
    if said[_MARK] > _FORMAT:
        raise WarehouseError(
            ErrorKind.VERSION_MISMATCH,
            f"the proofs of this location have format {said[_MARK]}, and this dagster-models knows"
            f" formats up to {_FORMAT}: a newer version has used it. Use that version here too",
        )
    known = Commit.__dataclass_fields__
    commits = tuple(
        Commit(**{name: value for name, value in it.items() if name in known})
        for it in said.get("commits", ())
    )
    kind, fenced = said.get("kind", "table"), said.get("fenced", "")
    return Proof(
        version,
        commits,
        kind,
        said.get("sql", ""),
        fenced,
        not fenced or kind == "dropped",
        said.get("comment", ""),
        said.get("columns", EMPTY),
    )


def proof_text(
    kind: Kind, definition: str, commits: Sequence[Commit], version: int, docs: Extras
) -> str:
    now = dt.datetime.now(dt.timezone.utc).isoformat()
    said = [replace(it, committed_at=now, identity=f"version {version}") for it in commits]
    comments = {"comment": docs.comment, "columns": docs.column_comments}
    return written(kind, said, definition, docs=comments)


def written(
    kind: Kind,
    commits: Sequence[Commit] = (),
    definition: str = "",
    fenced: str = "",
    docs: Mapping[str, Any] = EMPTY,
) -> str:
    """The inverse of ``read_proof``."""
    said: dict[str, Any] = {_MARK: _FORMAT, "kind": kind}
    said |= {"commits": [it.to_json() for it in commits]} if commits else {}
    said |= {"sql": definition} if definition else {}
    said |= {"fenced": fenced} if fenced else {}
    said |= {key: value for key, value in docs.items() if value}
    return json.dumps(said, default=dict)
