"""What the machine gives: open files, memory, processors. Limits of a container count as the machine's."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from openbell.config import Settings
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.processes import Process, listener, open_files

#: Open files of a platform at rest (24), the page's clients (64) and requests, with room to spare.
FILES_MIN = 256
#: The same for 5,000 clients of the live stream: one file each.
CLIENTS = 5_000
FILES_CLIENTS = CLIENTS + FILES_MIN
#: What the remedy asks for.
FILES_ASKED = 8_192
#: Share of its files a running platform may have open before it is in danger.
_FULL = 0.8

MEGABYTE = 1_000_000
#: A platform with a small plan holds 270 MB; compiling takes 150 MB more.
MEMORY_MIN, MEMORY_GOOD = 450 * MEGABYTE, 1_000 * MEGABYTE
#: Address space: the libraries are mapped, the compiler reserves.
ADDRESSES_MIN = 4_000 * MEGABYTE
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def file_limit() -> Iterator[Finding]:
    """How many files and connections a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (1 << 30 if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard))
    found = f"{soft:,} (at most {hard:,})"
    if soft >= FILES_CLIENTS:
        yield ok("open files", found)
        return
    ways = (
        (f"ulimit -n {FILES_ASKED}    # in the shell that starts openbell; systemd: LimitNOFILE={FILES_ASKED}",)
        if hard >= FILES_ASKED
        else (
            f"echo '* - nofile {FILES_ASKED}' | sudo tee /etc/security/limits.d/openbell.conf    # then sign in again",
            f"docker run --ulimit nofile={FILES_ASKED}:{FILES_ASKED} ...    # in a container",
        )
    )
    if soft < FILES_MIN:
        yield problem("open files", found, f"{FILES_MIN:,} for the platform, {FILES_CLIENTS:,} for {CLIENTS:,} clients", *ways)
    else:
        yield warning("open files", f"{found}: room for {soft - FILES_MIN:,} clients", f"{FILES_CLIENTS:,} for {CLIENTS:,} clients", *ways)


def files_in_use(settings: Settings) -> Iterator[Finding]:
    """How many files the platform that runs has open, where there is one."""
    running = listener(settings.server.port)
    if running is not None and running.is_openbell:
        yield from _in_use(running)


def memory(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Iterator[Finding]:
    """Memory that is there for the asking, and address space."""
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if addresses != resource.RLIM_INFINITY and addresses < ADDRESSES_MIN:
        found = f"address space is limited to {addresses // MEGABYTE:,} MB"
        yield problem("memory", found, f"{ADDRESSES_MIN // MEGABYTE:,} MB: compiled code is mapped", "ulimit -v unlimited")
    free = available(proc, cgroup)
    if free is None:
        return
    found = f"{free // MEGABYTE:,} MB available"
    look = "ps -eo rss,pid,comm --sort -rss | head    # what holds it; in a container: docker run --memory 1g ..."
    if free < MEMORY_MIN:
        yield problem("memory", found, f"{MEMORY_MIN // MEGABYTE:,} MB to start", look)
    elif free < MEMORY_GOOD:
        yield warning("memory", found, f"{MEMORY_GOOD // MEGABYTE:,} MB", look)
    else:
        yield ok("memory", found)


def processors(cgroup: Path = _CGROUP) -> Iterator[Finding]:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    count: float = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _numbers(cgroup / "cpu.max")
    if len(quota) == 2:
        count = min(count, quota[0] / quota[1])
    found = f"{count:g} to use, {os.cpu_count()} in the machine"
    if count < 2:
        more = "taskset -p -c 0-1 $$    # in the shell that starts openbell; in a container: docker run --cpus 2 ..."
        yield warning("processors", found, "2: the traders' thread and everything else", more)
    else:
        yield ok("processors", found)


def available(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Bytes of memory a new process may take, by the machine and by the container; None where nobody tells."""
    left = []
    try:
        rows = (proc / "meminfo").read_text().splitlines()
        left += [int(row.split()[1]) * 1024 for row in rows if row.startswith("MemAvailable:")]
    except OSError:
        pass
    for most, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        limit, usage = _numbers(cgroup / most), _numbers(cgroup / used)
        if limit and usage:
            left.append(int(limit[0] - usage[0]))
    return min(left, default=None)


def _in_use(running: Process) -> Iterator[Finding]:
    files = open_files(running.pid)
    if files is None:
        return
    count, limit = files
    found = f"{count:,} of {limit:,} by {running}"
    if count > limit * _FULL:
        more = f"sudo prlimit --pid {running.pid} --nofile={FILES_ASKED}:{FILES_ASKED}    # at once, without a restart"
        yield problem("files in use", found, f"at most {_FULL:.0%}: then connections are refused", more)
    else:
        yield ok("files in use", found)


def _numbers(path: Path) -> list[float]:
    """The numbers in a file of the system; none where it is not there, or says that there is no limit."""
    try:
        words = path.read_text().split()
    except OSError:
        return []
    return [float(word) for word in words] if all(word.isdigit() for word in words) else []
