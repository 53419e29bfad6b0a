"""What git knows of a project: its commits, and the files as they were."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster_models.errors import DagsterModelsError
from dagster_models.util.nearest import nearest

#: Git sets these for its hooks. They are about the repository's folder, not about the project's.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository around a project: ``root`` is the project's folder, ``top`` the repository's.
    Nothing is written into it."""

    root: Path
    top: Path

    def find_commit(self, ref: str) -> str:
        """The full name of the commit that *ref* means.

        Raises:
            DagsterModelsError: there is none.
        """
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
        found = _run(self.root, *verify, f"{ref}^{{commit}}")
        if not found.returncode:
            return found.stdout.decode().strip()
        if _run(self.root, *verify, "HEAD^{commit}").returncode:
            raise DagsterModelsError("the repository has no commit yet: commit first, then compare")
        what = f"git does not know the commit {ref!r}"
        listed = _run(self.root, "for-each-ref", "--format=%(refname:short)")
        names = listed.stdout.decode(errors="replace").split()
        if close := nearest(ref, names, 3):
            what += f"; did you mean {' or '.join(close)}?"
        shallow = _run(self.root, "rev-parse", "--is-shallow-repository")
        if shallow.stdout.strip() == b"true":
            what += (
                "; this clone is shallow: `git fetch --unshallow` fetches the older commits "
                "(on GitHub: `fetch-depth: 0` for actions/checkout)"
            )
        raise DagsterModelsError(what)

    @contextmanager
    def files_at(self, commit: str, endings: tuple[str, ...]) -> Iterator[Path]:
        """A temporary folder that holds the project's files with these endings at a commit.

        They come from the commit's own objects: `git archive` leaves out what attributes name, and
        `git worktree` writes into the user's repository.
        """
        inside = self.root.relative_to(self.top).as_posix()
        listed = _run(self.top, "ls-tree", "-r", "-z", "--full-tree", commit, "--", inside)
        entries = [line.partition(b"\t") for line in listed.stdout.split(b"\0") if line]
        files = {}
        for head, _, name in entries:
            mode, kind, blob = head.split()
            path = name.decode(errors="surrogateescape")
            if kind == b"blob" and mode != b"120000" and path.endswith(endings):
                files[path] = blob
        with tempfile.TemporaryDirectory(prefix="dagster-models-") as folder:
            for path, content in zip(files, self._blobs(list(files.values())), strict=True):
                place = Path(folder, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            yield Path(folder, inside)

    def _blobs(self, names: Sequence[bytes]) -> Iterator[bytes]:
        wanted = b"".join(name + b"\n" for name in names)
        output = _run(self.top, "cat-file", "--batch", given=wanted).stdout
        at = 0
        for _ in names:
            end = output.index(b"\n", at)
            size = int(output[at:end].split()[2])
            yield output[end + 1 : end + 1 + size]
            at = end + size + 2


def repository_of(root: Path) -> Repository:
    """The repository that the folder *root* is in.

    Raises:
        DagsterModelsError: there is none, or git is not installed.
    """
    done = _run(root, "rev-parse", "--show-toplevel")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        what = "the project is not in a git repository, and diff compares it with a commit"
        raise DagsterModelsError(what + (f" (git: {said})" if said else ""))
    top = done.stdout.decode(errors="surrogateescape").rstrip("\n")
    return Repository(root, Path(top).resolve())


def _run(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment = {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, input=given, env=environment, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise DagsterModelsError("git is not installed, and diff needs it") from None
