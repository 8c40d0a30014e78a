"""The folders openbell writes to: whether it may, how much room there is, what kind of file system it is, how long the disk takes."""

import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from openbell.config import Settings
from openbell.errors import StorageError
from openbell.services.doctor.finding import Finding, ok, problem, warning

MEGABYTE = 1_000_000
SPACE_MIN, SPACE_GOOD = 100 * MEGABYTE, 1_000 * MEGABYTE
#: Milliseconds until the disk confirms a write. Orders wait for it.
CONFIRM_MAX_MS = 50.0
_TRIES, _TRY_SECONDS = 15, 1.5
_BLOCK = 4096
_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
_MOUNTS = Path("/proc/mounts")


def folders_of(settings: Settings) -> dict[str, Path]:
    """The folders that are written to, by the setting that names them; each folder once."""
    named = {"trading.data_dir": Path(settings.trading.data_dir)}
    if settings.database.engine == "sqlite":
        named["database.sqlite_path"] = Path(settings.database.sqlite_path).parent
    seen: dict[Path, str] = {}
    for key, path in named.items():
        seen.setdefault(path.expanduser().absolute(), key)
    return {key: path for path, key in seen.items()}


def folder(key: str, path: Path, mounts: Path = _MOUNTS) -> Iterator[Finding]:
    """Everything about one folder. One that is not there yet is judged by the one it would be made in."""
    try:
        there = existing(path)
    except StorageError as error:
        yield problem(key, error.found, error.expected, error.do)
        return
    refused = refusal(there)
    if refused:
        yield problem(
            key, f"{there} cannot be written: {refused}", "a folder that can be written", f"sudo chown -R $USER {there}    # or set {key}"
        )
        return
    made = "" if there == path else " (will be made)"
    yield from _space(key, path, there, made)
    yield from _kind(key, path, file_system(there, mounts))
    yield _speed(key, confirm_ms(there))


def existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there; StorageError when something else is in the way."""
    for candidate in (path, *path.parents):
        if candidate.is_dir():
            return candidate
        if candidate.exists() or candidate.is_symlink():
            raise StorageError(f"{candidate} is not a folder", "a folder", f"mv {candidate} {candidate}.old")
    return Path("/")


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system a folder is on, such as ext4; "" where that cannot be told."""
    real, best, kind = str(path.resolve()), "", ""
    try:
        rows = mounts.read_text().splitlines()
    except OSError:
        return ""
    for row in rows:
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), row.split()[1])
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, row.split()[2]
    return kind


def confirm_ms(path: Path) -> float:
    """Milliseconds until the disk confirms a block that was written, in the middle of several tries."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=path, buffering=0) as file:
        began = time.perf_counter()
        while len(taken) < _TRIES and time.perf_counter() - began < _TRY_SECONDS:
            before = time.perf_counter()
            file.write(b"\0" * _BLOCK)
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - before) * 1e3)
    return statistics.median(taken)


def refusal(path: Path) -> str:
    """Why a folder cannot be written; "" when it can."""
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"\0")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _space(key: str, path: Path, there: Path, made: str) -> Iterator[Finding]:
    free = shutil.disk_usage(there).free
    found = f"{path}{made}: {free / 1e9:,.1f} GB free"
    look = f"du -xh {there} | sort -h | tail    # what fills it"
    if free < SPACE_MIN:
        yield problem(key, found, f"{SPACE_MIN // MEGABYTE} MB", look)
    elif free < SPACE_GOOD:
        yield warning(key, found, f"{SPACE_GOOD // MEGABYTE:,} MB", look)
    else:
        yield ok(key, found)


def _kind(key: str, path: Path, kind: str) -> Iterator[Finding]:
    elsewhere = "a disk of this machine", f"export OPENBELL_{key.upper().replace('.', '__')}=/var/lib/openbell"
    if kind in _NETWORK:
        yield problem("file system", f"{path} is on a network file system ({kind}), whose locks SQLite cannot rely on", *elsewhere)
    elif kind in _MEMORY:
        yield warning("file system", f"{path} is in memory ({kind}), and empty after a restart of the machine", *elsewhere)
    elif kind == "overlay":
        volume = f"docker run -v openbell-data:{path} ..."
        yield warning("file system", f"{path} is in the container, and gone with it", "a volume", volume)
    elif kind:
        yield ok("file system", f"{path} is on {kind}")


def _speed(key: str, taken_ms: float) -> Finding:
    found = f"confirms a write after {taken_ms:.1f} ms"
    if taken_ms > CONFIRM_MAX_MS:
        return warning(
            "disk", found, f"at most {CONFIRM_MAX_MS:g} ms: orders wait for it", f"iostat -x 1 5    # what else writes there; or set {key}"
        )
    return ok("disk", found)
