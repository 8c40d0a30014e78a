"""Who else is on this machine, as /proc tells it: which process listens on a port, holds a lock, how many files it has open.

Where there is no /proc, or another user's process is in the way, the answer is None.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"
#: Words of a command line that are not shown, and whose successor is not either.
_TELLING = re.compile(r"pass|token|secret|key|credential|auth", re.IGNORECASE)
_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number, and how it was called."""

    pid: int
    command: str
    is_openbell: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def process(pid: int) -> Process | None:
    """A process by its number, None when there is none."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
    words = [word for word in words if word]
    # openbell up, python openbell up, python -m openbell up, each with or without a folder before it
    return Process(pid, _command(words) or name, "openbell" in [Path(word).name for word in words[:4]])


def listener(port: int) -> Process | None:
    """Who listens on a TCP port."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    return _holder(sockets) if sockets else None


def lock_holder(path: Path) -> Process | None:
    """Who holds a lock on a file, by the system's table of locks."""
    try:
        state, rows = path.stat(), (_PROC / "locks").read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    for row in rows:
        # 1: POSIX ADVISORY WRITE 812 fe:00:1234 0 EOF
        fields = row.split()
        if "WRITE" in fields and fields[4].isdigit() and fields[5] == place:
            return process(int(fields[4]))
    return None


def open_files(pid: int) -> tuple[int, int] | None:
    """(Files a process has open, how many it may have)."""
    try:
        count = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
        limits = (_PROC / str(pid) / "limits").read_text()
    except OSError:
        return None
    limit = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
    return (count, int(limit[1])) if limit else None


def _listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on a port."""
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holder(sockets: set[str]) -> Process | None:
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        if any(target in sockets for target in _targets(folder / "fd")):
            return process(int(folder.name))
    return None


def _targets(folder: Path) -> Iterator[str]:
    """What the open files of a process are; nothing of one that has ended, or is another user's."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                yield str(entry.readlink())


def _command(words: list[str]) -> str:
    """A command line that can be shown: short, the program without its folder, and nothing that may be a secret."""
    shown: list[str] = []
    hide = False
    for word in words:
        if hide or "://" in word or (_TELLING.search(word) and word != words[0]):
            shown.append("***")
            hide = word.startswith("-") and "=" not in word
        else:
            shown.append(Path(word).name if word.startswith("/") else word)
    text = " ".join(" ".join(shown).split())
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"
