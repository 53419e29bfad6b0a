"""Which warehouse an address leads to, as seen from this process."""

from __future__ import annotations

import os

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import dsn as servers
from dagster_models.util.runtime_files import runtime_folder


def key_of(address: WarehouseAddress) -> str:
    """The path that identifies a warehouse everywhere: the real one of its database file; for a
    server a name in the runtime folder. The lock file has this path and ".lock".

    Raises WarehouseError where there is none.
    """
    settings, type_ = address.settings, address.type
    if not type_.file_setting:
        # Sessions of two processes do not hurt each other there: it need not lie at one place.
        return os.path.join(runtime_folder(), servers.file_name(type_.name, settings))
    path = settings.get(type_.file_setting)
    if not path or str(path).startswith((":memory:", "md:")):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"{type_.file_setting}: {path!r} is not a file: give the path of a database file, which"
            " the processes of a run can share",
        )
    return os.path.realpath(str(path))
