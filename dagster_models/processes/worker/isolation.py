"""What user code changes in its process, put back for what we still do there: publish its table.

The process ends with the step, so only that is put back on which our own code rests: environment,
working folder, signal handlers, limits, modules. Each ``_save_*`` function takes note of one thing
and returns what puts it back.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper

Restore = Callable[[], object]


@contextmanager
def isolated(root: str) -> Iterator[None]:
    """Run the body in the project's folder ``root``; restore the process's state after it."""
    with ExitStack() as restores, warnings.catch_warnings():
        for save in _SAVES:
            restores.callback(_quietly, save())
        importlib.invalidate_caches()  # the template may have looked at the folders earlier
        if root:
            os.chdir(root)
        yield


def _quietly(restore: Restore) -> None:
    """Suppress errors: one thing that cannot be restored must not keep the others from it."""
    with suppress(Exception):
        restore()


def _save_environ() -> Restore:
    before = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _save_folder() -> Restore:
    folder = os.open(".", os.O_RDONLY)  # by descriptor: the folder may be renamed meanwhile

    def restore() -> None:
        try:
            os.fchdir(folder)
        finally:
            os.close(folder)

    return restore


def _save_umask() -> Restore:
    mask = os.umask(0o077)
    os.umask(mask)
    return lambda: os.umask(mask)


def _save_lists() -> Restore:
    """Save the lists of sys and the list objects themselves: code may replace or edit them."""
    names = ("argv", "path", "meta_path", "path_hooks")
    before = [(name, getattr(sys, name), list(getattr(sys, name))) for name in names]

    def restore() -> None:
        for name, holder, content in before:
            holder[:] = content
            setattr(sys, name, holder)

    return restore


def _save_interpreter() -> Restore:
    limit, interval = sys.getrecursionlimit(), sys.getswitchinterval()

    def restore() -> None:
        sys.setrecursionlimit(limit)
        sys.setswitchinterval(interval)

    return restore


def _save_signals() -> Restore:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def restore() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _save_limits() -> Restore:
    """Save the resource limits. A hard limit that was lowered stays: nobody can raise it."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    limits = sorted({getattr(resource, name) for name in names})
    before = {number: resource.getrlimit(number) for number in limits}

    def restore() -> None:
        for number, (soft, hard) in before.items():
            now, most = resource.getrlimit(number)
            if (now, most) != (soft, hard):
                resource.setrlimit(number, (soft if most == hard else most, most))

    return restore


def _save_modules() -> Restore:
    """Save the modules that are loaded: code may replace or hide them."""
    before = dict(sys.modules)

    def restore() -> None:
        for name, module in before.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module

    return restore


_SAVES: tuple[Callable[[], Restore], ...] = (
    _save_environ,
    _save_folder,
    _save_umask,
    _save_lists,
    _save_interpreter,
    _save_signals,
    _save_limits,
    _save_modules,
)


class Streams:
    """The process's own stdout and stderr, whose lines appear at once."""

    def __init__(self) -> None:
        self._objects = [_open(number) for number in (1, 2)]
        sys.stdout = sys.__stdout__ = self._objects[0]  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._objects[1]  # type: ignore[misc]

    def flush(self) -> None:
        """Flush what a step wrote, also to a stream that it has put in place of ours."""
        for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None), *self._objects):
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]


def _open(number: int) -> TextIOWrapper:
    # UTF-8 whatever the locale says, and no character that can't be written: a log must not fail.
    return open(
        number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def occupy_standard_descriptors() -> None:
    """Open the descriptors 0, 1 and 2 that user code has closed on /dev/null: otherwise the next
    file gets that number, and whatever is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
