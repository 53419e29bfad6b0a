"""What file system a path is on, as far as Linux says it."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Type of file system -> what people call it. Several machines can have such a file open at once,
#: and a lock that one takes may be unknown to the others.
_NETWORK = {
    "nfs": "NFS",
    "nfs4": "NFS",
    "cifs": "SMB",
    "smb3": "SMB",
    "smbfs": "SMB",
    "ceph": "CephFS",
    "afs": "AFS",
    "lustre": "Lustre",
    "gpfs": "GPFS",
    "beegfs": "BeeGFS",
    "glusterfs": "GlusterFS",
    "ocfs2": "OCFS2",
    "gfs2": "GFS2",
    "orangefs": "OrangeFS",
}
#: The same of what FUSE mounts: others, such as an encrypted folder, are on this machine.
_FUSE = {
    "sshfs": "SSHFS",
    "s3fs": "an object store (s3fs)",
    "mountpoint-s3": "an object store (Mountpoint for S3)",
    "gcsfuse": "an object store (gcsfuse)",
    "blobfuse": "an object store (blobfuse)",
    "blobfuse2": "an object store (blobfuse)",
    "goofys": "an object store (goofys)",
    "rclone": "a remote folder (rclone)",
    "davfs": "WebDAV",
    "glusterfs": "GlusterFS",
    "ceph": "CephFS",
    "ceph-fuse": "CephFS",
    "juicefs": "JuiceFS",
    "lizardfs": "LizardFS",
    "mfs": "MooseFS",
}
MOUNTS = Path("/proc/self/mountinfo")
#: The environment variable that allows a database file on a network file system.
_ANYWAY = "DAGSTER_MODELS_NETWORK_FILES"


def why_not_here(path: str) -> str:
    """Why no database file may be at this real path; "" if one may."""
    found = network_file_system(path)
    if not found or os.environ.get(_ANYWAY) == "allow":
        return ""
    return (
        f"the database file {path} is on {found}, a network file system. A lock keeps others out of"
        " the file, and it may not reach another machine there: two runs could then destroy it. Put"
        " the file on a disk of this machine (in Kubernetes, on a volume that is ReadWriteOnce), or"
        f" use a database server. If only one machine ever opens it, set {_ANYWAY}=allow"
    )


def network_file_system(path: str) -> str:
    """The name of the network file system that a real path is on, or "": it is on none, or nobody
    says so. The path itself need not be there."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    nearest, found = "", ""
    for line in lines:
        mount, _, what = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda it: chr(int(it[1], 8)), mount.split(" ")[4])
        is_below = path == point or path.startswith(point.rstrip("/") + "/")
        if is_below and len(point) >= len(nearest):  # of two at one place the later one is on top
            nearest, found = point, what.split(" ")[0]
    if found.startswith("fuse."):
        return _FUSE.get(found.removeprefix("fuse."), "")
    return _NETWORK.get(found, "")
