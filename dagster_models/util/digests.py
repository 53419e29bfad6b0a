"""Digests of contents."""

from __future__ import annotations

import hashlib


def digest_of(data: bytes) -> str:
    """The digest of a file's bytes, which is part of its code version."""
    return hashlib.sha256(data).hexdigest()
