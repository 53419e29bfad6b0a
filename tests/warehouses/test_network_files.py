"""A database file on a network file system is refused, before anything is made there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from addresses import duckdb_at
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server import process
from dagster_models.util import file_systems
from dagster_models.util.file_systems import network_file_system
from systems import ducklake_system

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /data rw - nfs4 server:/export rw,vers=4.2
31 30 254:2 / /data/disk rw - xfs /dev/vdb rw
32 22 0:41 / /my\\040share rw master:2 - cifs //server/share rw
33 22 0:42 / /bucket rw - fuse.mountpoint-s3 mountpoint-s3 rw
34 22 0:43 / /secret rw - fuse.gocryptfs /home/me/.secret rw
35 22 0:44 / /twice rw - ext4 /dev/vdc rw
36 22 0:45 / /twice rw - ceph 10.0.0.1:/ rw
37 22 0:50 / /container rw - overlay overlay rw,lowerdir=/lower,upperdir=/upper
38 22 0:51 / /wsl rw - 9p C:\\ rw
39 22 0:52 / /machine rw - virtiofs share rw
41 22 8:17 / /usb rw - fuseblk /dev/sdb1 rw
42 22 0:53 / /ntfs rw - fuse.ntfs-3g /dev/sdc1 rw
"""


@pytest.fixture(autouse=True)
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    monkeypatch.setattr(file_systems, "MOUNTS", path)
    return path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/me/w.duckdb", ""),
        ("/data/w.duckdb", "NFS"),
        ("/data", "NFS"),
        ("/database/w.duckdb", ""),
        ("/data/disk/deep/w.duckdb", ""),
        ("/my share/w.duckdb", "SMB"),
        ("/bucket/w.duckdb", "an object store (Mountpoint for S3)"),
        ("/secret/w.duckdb", ""),
        ("/twice/w.duckdb", "CephFS"),
        ("/container/w.duckdb", ""),
        ("/wsl/w.duckdb", ""),
        ("/machine/w.duckdb", ""),
        ("/usb/w.duckdb", ""),
        ("/ntfs/w.duckdb", ""),
    ],
)
def test_what_a_path_is_on(path: str, name: str) -> None:
    assert network_file_system(path) == name


def test_where_nobody_says_it(mounts: Path) -> None:
    mounts.unlink()
    assert network_file_system("/data/w.duckdb") == ""


def test_no_warehouse_process_opens_it(
    mounts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mounts.write_text(f"{MOUNTS}40 22 0:46 / {tmp_path} rw - nfs server:/home rw\n")
    file = tmp_path / "folder" / "w.duckdb"
    address = duckdb_at(file)

    monkeypatch.setattr("faulthandler.enable", lambda: None)  # stderr has no descriptor here

    def start() -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(address.to_json())))
        return process.main()

    assert start() == 1
    said = capsys.readouterr().err
    assert f"the database file {file} is on NFS, a network file system" in said
    assert "ReadWriteOnce" in said
    assert not file.parent.exists()

    class Begun(Exception):
        pass

    def begin(path: str) -> int:
        raise Begun

    monkeypatch.setattr(process, "_elect", begin)
    monkeypatch.setenv("DAGSTER_MODELS_NETWORK_FILES", "allow")
    with pytest.raises(Begun):
        start()


def test_no_lake_has_its_catalog_there(mounts: Path, tmp_path: Path) -> None:
    mounts.write_text(f"{MOUNTS}40 22 0:46 / {tmp_path} rw - cifs //server/home rw\n")
    with pytest.raises(WarehouseError, match="is on SMB, a network file system") as caught:
        ducklake_system(str(tmp_path / "lake")).open()
    assert caught.value.kind is ErrorKind.INVALID_SETTINGS
    assert not (tmp_path / "lake").exists()
