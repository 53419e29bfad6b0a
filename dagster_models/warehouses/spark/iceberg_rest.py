"""A catalog of Iceberg tables behind Iceberg's REST API, as Polaris, Nessie and others offer it.

The catalog chooses where its own metadata file of a table is, and each of its answers holds that
file's contents. All other files are in the folder: the table's properties say so to every writer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    ValidationError,
)
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from dagster_models.core.model import Relation
from dagster_models.warehouses.spark.iceberg_catalog import IcebergCatalog
from dagster_models.warehouses.spark.iceberg_errors import translated
from dagster_models.warehouses.spark.location import is_name

#: How long an answer is waited for; requests by itself waits for ever.
_ANSWER_SECONDS = 30.0
#: How long what other processes have committed may stay unseen: one request asks for one table.
_FRESH_SECONDS = 2.0
_AT_A_TIME = 8
#: settings of a target -> properties of pyiceberg
_PROPERTIES = {
    "catalog_warehouse": "warehouse",
    "catalog_token": "token",
    "catalog_credential": "credential",
    "catalog_scope": "scope",
    "catalog_oauth": "oauth2-server-uri",
}


class RestCatalogFolder(IcebergCatalog):
    """The REST catalog at that URL. Raises WarehouseError where it cannot be reached."""

    def __init__(self, folder: str, url: str, settings: Mapping[str, Any]) -> None:
        super().__init__(folder)
        # The file of a secret often ends with a line break, which no header may have.
        texts = {name: str(settings.get(key) or "").strip() for key, name in _PROPERTIES.items()}
        given = {name: text for name, text in texts.items() if text}
        given.setdefault("oauth2-server-uri", f"{url.rstrip('/')}/v1/oauth/tokens")
        credential = given.get("credential", "")
        self._secrets = [credential, credential.partition(":")[2], given.get("token", "")]
        self._turn = threading.Lock()
        self._stamps: dict[tuple[str, str], object] = {}
        self._asked_at = float("-inf")
        with self._translated():
            self._catalog = _PatientCatalog(uri=url, **given)

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(Relation("iceberg", "*"), self._secrets)

    def stamps(self) -> Mapping[tuple[str, str], object]:
        """As they were some moments ago, but for what this process has committed since. Without
        those that are closed to it."""
        with self._turn:
            if time.monotonic() - self._asked_at < _FRESH_SECONDS:
                return dict(self._stamps)
            with self._translated(), ThreadPoolExecutor(_AT_A_TIME) as pool:
                namespaces = [it for it in self._catalog.list_namespaces() if is_name(it[0])]
                listed = [key for it in namespaces for key in self._listed(it)]
                keys = [(it[0], it[1]) for it in listed if len(it) == 2 and is_name(it[1])]
                tables = pool.map(lambda key: self._readable(Relation(*key)), keys)
                pairs = zip(keys, tables, strict=True)
                self._stamps = {key: _stamp(table) for key, table in pairs if table is not None}
            self._asked_at = time.monotonic()
            return dict(self._stamps)

    def stamp(self, relation: Relation) -> object:
        with self._turn:
            return self._stamps.get((relation.schema.lower(), relation.name.lower()))

    def _listed(self, namespace: Sequence[str]) -> list[tuple[str, ...]]:
        """The tables of a namespace; none of one whose tables the token may not list, or that
        somebody has dropped in the meantime."""
        with contextlib.suppress(ForbiddenError, NoSuchNamespaceError):
            return list(self._catalog.list_tables(namespace))
        return []

    def _readable(self, relation: Relation) -> Any:
        """The table, and None for one that the token may not read or pyiceberg cannot, too: it is
        somebody else's, perhaps, and a step that builds it says so."""
        with contextlib.suppress(ForbiddenError, ValidationError, ValueError):
            return self.table(relation)
        return None

    def table(self, relation: Relation) -> Any:
        try:
            return self._catalog.load_table((relation.schema.lower(), relation.name.lower()))
        except NoSuchTableError:
            return None

    def begin(
        self, relation: Relation, schema: Any, folder: str, properties: Mapping[str, str]
    ) -> Any:
        key = relation.schema.lower(), relation.name.lower()
        self._catalog.create_namespace_if_not_exists(key[0])
        here = {
            "write.data.path": f"file://{folder}/data",
            "write.metadata.path": f"file://{folder}/metadata",
        }
        return self._catalog.create_table_transaction(
            key, schema, properties={**properties, **here}
        )

    def committed(self, relation: Relation, table: Any) -> None:
        with self._turn:
            self._stamps[relation.schema.lower(), relation.name.lower()] = _stamp(table)

    def forget(self, relation: Relation, place: str) -> bool:
        """It stays, as an empty table: a REST catalog would also drop what somebody else has
        published since."""
        return False

    def write_metadata(self, table: Any, path: str) -> None:
        """As the catalog has sent it, but for its location, below which Spark looks for files."""
        here = path.rpartition("/shown-")[0]
        shown = table.metadata.model_copy(update={"location": f"file://{here}"})
        with open(path, "x", encoding="utf-8") as file:
            file.write(shown.model_dump_json())

    def close(self) -> None:
        self._catalog.close()


class _PatientCatalog(RestCatalog):  # type: ignore[misc]  # pyiceberg is not typed here
    """It waits for each answer, but not for ever."""

    def __init__(self, **properties: str) -> None:
        self._opened: list[Session] = []
        try:
            super().__init__("rest", **properties)
        except BaseException:
            self.close()
            raise

    def _config_headers(self, session: Session) -> None:
        """Called for each session before it is used: pyiceberg has no setting for a timeout."""
        super()._config_headers(session)
        for scheme in ("https://", "http://"):
            session.mount(scheme, _TimedAdapter())
        self._opened.append(session)

    def close(self) -> None:
        for session in self._opened:
            session.close()


class _TimedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        options["timeout"] = options.get("timeout") or _ANSWER_SECONDS
        return super().send(request, *args, **options)


def _stamp(table: Any) -> object:
    return str(table.metadata.table_uuid), table.metadata_location
