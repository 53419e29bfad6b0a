"""Which warehouse an address leads to, as seen from this process."""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Mapping

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import filled_settings
from dagster_models.util.runtime_files import runtime_folder, user_secret

_NO_PART_OF_A_NAME = re.compile(r"[^\w.@-]+", re.ASCII)


def key_of(address: WarehouseAddress, environ: Mapping[str, str] | None = None) -> str:
    """The path that identifies a warehouse everywhere. Its lock file has this path and ".lock".

    For a database file it is the file's real path. For a server it is a name in the runtime folder
    that differs wherever the server, the database, the user, his password or anything else differs
    by which the client library reaches it; ``environ`` (default: this process's) is part of that.

    Raises WarehouseError where the settings lead nowhere.
    """
    environ = os.environ if environ is None else environ
    if not address.type.file_setting:
        # Sessions of two processes do not hurt each other there: it need not lie at one place.
        return os.path.join(runtime_folder(), _server_name(address, environ))
    name = address.type.file_setting
    path = filled_settings({name: address.settings.get(name)}, environ)[name]
    if not path or str(path).startswith((":memory:", "md:")):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"{name}: {path!r} is not a file: give the path of a database file, which the"
            " processes of a run can share",
        )
    return os.path.realpath(str(path))


#: What says which database of which server a client library reaches, with the usual values.
_PLACE = {"host": "", "hostaddr": "", "port": "5432", "dbname": ""}


def same_database(
    one: WarehouseAddress, other: WarehouseAddress, environ: Mapping[str, str] | None = None
) -> bool:
    """Whether a query in one of these warehouses can read the relations of the other: they are one
    file, or one database of one server, perhaps as another user.

    Raises WarehouseError where the settings lead nowhere.
    """
    environ = os.environ if environ is None else environ
    if one.type is not other.type:
        return False
    if one.type.file_setting:
        return key_of(one, environ) == key_of(other, environ)
    places = (it.type.identity(it.settings, environ) for it in (one, other))
    first, second = ([place.get(k) or usual for k, usual in _PLACE.items()] for place in places)
    return first == second


def _server_name(address: WarehouseAddress, environ: Mapping[str, str]) -> str:
    """A name that can be read, and a digest of all that decides where it leads and as whom.

    The name stands in messages and logs. The digest has the password in it, so it is keyed with a
    secret of this user: without that nobody can try passwords on it.
    """
    settings = address.type.in_scope(address.settings, "place")
    found = address.type.identity(settings, environ)
    shown = f"{found.get('user', '')}@{found.get('host', '')}-{found.get('dbname', '')}"
    text = json.dumps([address.type.name, found], sort_keys=True, default=str)
    digest = hmac.new(user_secret(), text.encode(), "sha256").hexdigest()[:12]
    return f"{address.type}-{_NO_PART_OF_A_NAME.sub('_', shown)[:80]}-{digest}"
