"""The cache file: never stale, safe under several writers, and harmless when it is damaged."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest

from dagster_models.project.loading import cache
from dagster_models.project.loading.cache import Cache, encode, read_entries, stamp, write_entries
from dagster_models.project.loading.seed_looks import SeedLooks
from dagster_models.util import csv_table

ENTRIES = {"one": encode((1, "a")), "two": encode(("b",))}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "target" / "things.cache"
    place.parent.mkdir()
    write_entries(place, ENTRIES)
    assert read_entries(place) == ENTRIES
    return place


# --- damage ----------------------------------------------------------------------------------


def test_a_file_that_was_changed_anywhere_has_no_entries(file: Path) -> None:
    """A full disk, or one that loses power, may leave what can still be unpickled."""
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert read_entries(file) == {}, at
    for length in range(len(data)):
        file.write_bytes(data[:length])
        assert read_entries(file) == {}, length
    file.write_bytes(data)
    assert read_entries(file) == ENTRIES


def with_digest(data: bytes) -> bytes:
    return cache._digest(data) + data


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"not a pickle",
        with_digest(b""),
        with_digest(b"not a pickle"),
        with_digest(pickle.dumps(("another stamp", ENTRIES))),
        with_digest(pickle.dumps(([stamp()], None))),
        with_digest(pickle.dumps((stamp(), 7))),
    ],
)
def test_a_foreign_file_has_no_entries_and_is_replaced(contents: bytes, file: Path) -> None:
    file.write_bytes(contents)
    assert Cache(file).get("one") is None
    again = Cache(file)
    assert again.get("one") is None
    again.put("one", ENTRIES["one"])
    again.save()
    assert read_entries(file) == {"one": ENTRIES["one"]}


def test_a_missing_file_and_one_that_may_not_be_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "no", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert read_entries(file) == {}
    file.unlink()
    assert read_entries(file) == {}
    file.mkdir()
    assert read_entries(file) == {}
    write_entries(file, ENTRIES)  # cannot be written either
    assert [path.name for path in file.parent.iterdir()] == ["things.cache"]


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("harm",))


def test_a_file_cannot_run_code(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    file.write_bytes(with_digest(pickle.dumps((stamp(), {"one": Harmful()}))))
    assert Cache(file).get("one") is None
    file.write_bytes(with_digest(pickle.dumps((stamp(), {"one": pickle.dumps(Harmful())}))))
    assert Cache(file).get("one") is None
    assert not Path("harm").exists()


# --- never stale -----------------------------------------------------------------------------


@pytest.fixture
def new_stamp() -> Callable[[], str]:
    def found() -> str:
        cache.stamp.cache_clear()
        return stamp()

    yield found
    cache.stamp.cache_clear()


@pytest.mark.parametrize("package", ["dagster-models", "sqlglot", "sqlglotc"])
def test_another_version_of_what_reads_sql(
    package: str, file: Path, new_stamp: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == package else real(name))
    new_stamp()
    assert read_entries(file) == {}


def test_another_python(
    file: Path, new_stamp: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.sys, "version_info", (3, 99, 0))
    new_stamp()
    assert read_entries(file) == {}


@pytest.mark.parametrize(
    "module", ["errors.py", "sql/scopes.py", "util/positions.py", "loading/cache.py"]
)
def test_our_own_code_was_changed(
    module: str, file: Path, new_stamp: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = stamp(), Path.read_bytes

    def changed(path: Path) -> bytes:
        return real(path) + (b"# changed" if str(path).endswith(module) else b"")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert new_stamp() != before


# --- growth ----------------------------------------------------------------------------------


def test_entries_that_are_never_asked_for_do_not_pile_up(tmp_path: Path) -> None:
    place = tmp_path / "target" / "things.cache"

    def use(keys: list[str]) -> None:
        found = Cache(place)
        for key in keys:
            if found.get(key) is None:
                found.put(key, encode((key,)))
        found.save()

    use(["a1", "a2"])
    use(["b1", "b2"])
    assert set(read_entries(place)) == {"a1", "a2", "b1", "b2"}  # of another branch, say
    use(["c1", "c2"])
    assert set(read_entries(place)) == {"b1", "b2", "c1", "c2"}
    before = place.stat()
    use(["c1"])
    assert place.stat().st_ino == before.st_ino  # nothing new: it is not written
    for number in range(50):
        use([f"{number}"])
    assert list(read_entries(place)) == ["49", "48"]


def test_a_folder_of_its_own_is_kept_out_of_git(tmp_path: Path) -> None:
    write_entries(tmp_path / "target" / "things.cache", ENTRIES)
    assert (tmp_path / "target" / ".gitignore").read_text() == "*\n"
    other = tmp_path / "other"
    other.mkdir()
    write_entries(other / "things.cache", ENTRIES)  # the user's own folder, who knows what for
    assert [path.name for path in other.iterdir()] == ["things.cache"]


# --- writers ---------------------------------------------------------------------------------


def test_a_full_disk_leaves_what_was_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*places: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    write_entries(file, {"three": encode(3)})
    assert read_entries(file) == ENTRIES
    assert [path.name for path in file.parent.iterdir()] == ["things.cache"]


LIMITED = """
import resource, sys
from pathlib import Path
from dagster_models.project.loading.cache import encode, write_entries
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
write_entries(Path(sys.argv[1]), {"big": encode("x" * 100_000)})
"""


@pytest.mark.slow
def test_a_limit_that_the_system_sets(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert read_entries(file) == ENTRIES
    assert [path.name for path in file.parent.iterdir()] == ["things.cache"]


#: Stops for good between the writing and the rename.
STUCK = """
import os, sys, time
from pathlib import Path
from dagster_models.project.loading import cache
def wait(*places):
    print("written", flush=True)
    time.sleep(600)
cache.os.replace = wait
cache.write_entries(Path(sys.argv[1]), {"stuck": cache.encode(1)})
"""


@contextmanager
def stuck_writer(file: Path) -> Iterator[subprocess.Popen[str]]:
    """A writer that has written and locked its temporary file. (Of two at the same
    moment one may remove the other's file, which is not locked yet. That costs time only.)"""
    command = [sys.executable, "-c", STUCK, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "written\n"
            yield writer
        finally:
            writer.kill()


@pytest.mark.slow
def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(
    file: Path,
) -> None:
    def others() -> set[str]:
        return {path.name for path in file.parent.iterdir()} - {"things.cache"}

    with stuck_writer(file) as killed, stuck_writer(file) as alive:
        assert len(others()) == 2
        (file.parent / "things.cacheab12cd34").write_bytes(b"as version 0.1 left them")
        (file.parent / "other.cache.1234").write_bytes(b"of another file")
        killed.kill()
        killed.wait()
        write_entries(file, ENTRIES)
        left = others()
        assert len(left) == 2
        assert "other.cache.1234" in left  # and the file of the writer that lives
        alive.kill()
    write_entries(file, ENTRIES)
    assert others() == {"other.cache.1234"}
    assert read_entries(file) == ENTRIES


def test_a_large_seed_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = b"id,rate\n1,n/a\n2,1.5\n"
    large = small + b"3,2.5\n" * 20_000
    first = SeedLooks(str(tmp_path))
    seen = first.at(large)
    assert (seen.names, seen.doubtful) == (("id", "rate"), (("rate", 2, "n/a"),))
    broken = first.at(large + b"4\n")
    assert broken.bad == ("the line has 1 values, the header has 2", 20_004)
    first.save()
    monkeypatch.setattr(csv_table, "read", lambda data: pytest.fail("it is read again"))
    again = SeedLooks(str(tmp_path))
    assert (again.at(large), again.at(large + b"4\n")) == (seen, broken)
    with pytest.raises(pytest.fail.Exception):
        again.at(large + b"5,1\n")
    with pytest.raises(pytest.fail.Exception):
        SeedLooks(str(tmp_path)).at(small)
