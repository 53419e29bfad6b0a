"""Users of this machine, as messages name them."""

from __future__ import annotations

import os
import pwd


def user_name(uid: int | None = None) -> str:
    """``ada (uid 1000)``: the user with that number, by default the one of this process."""
    uid = os.geteuid() if uid is None else uid
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:  # in a container, a number without a name is common
        return f"uid {uid}"
