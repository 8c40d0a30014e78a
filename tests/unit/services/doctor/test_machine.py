"""The doctor on the machine: open files, memory, processors, clock, time zones."""

import os
import resource
import sys

import pytest

from openbell.config import ServerSettings, Settings
from openbell.services.doctor.clock import Discipline, compared, discipline, judge, time_zones
from openbell.services.doctor.machine import FILES_CLIENTS, FILES_MIN, file_limit, files_in_use, memory, processors
from tests.running import running
from tests.unit.services.doctor import in_a_process, levels, site_without

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_{}, ({}, {}))"
MEMINFO = "MemTotal:       24684096 kB\nMemFree:  100 kB\nMemAvailable:   {} kB\n"


@pytest.mark.parametrize(
    ("soft", "hard", "level", "remedy"),
    [
        (FILES_MIN - 1, 20_000, "problem", "ulimit -n 8192"),
        (FILES_MIN - 1, 1_000, "problem", "/etc/security/limits.d/openbell.conf"),
        (1_024, 20_000, "warning", "ulimit -n 8192"),
        (FILES_CLIENTS, 20_000, "ok", None),
    ],
)
def test_too_few_open_files(soft, hard, level, remedy):
    """What the platform needs, what 5,000 clients need, and how to get it with and without the right to raise the limit."""
    (found,) = in_a_process("machine", "file_limit()", LIMIT.format("NOFILE", soft, hard))
    assert found.level == level
    assert f"{soft:,} (at most {hard:,})" in found.found
    assert (remedy in found.do[0]) if remedy else not found.do


def test_open_files_here():
    """Whatever this machine allows, it is told."""
    assert len(list(file_limit())) == 1


@pytest.mark.integration
def test_a_platform_that_has_too_many_files_open(tmp_path):
    """Seen from outside, with the line that raises the limit of the running process."""
    with running(tmp_path) as demo:
        settings = Settings(server=ServerSettings(port=demo.port))
        (found,) = files_in_use(settings)
        assert (found.level, f"pid {demo.process.pid}" in found.found) == ("ok", True)
        count = len(os.listdir(f"/proc/{demo.process.pid}/fd"))
        resource.prlimit(demo.process.pid, resource.RLIMIT_NOFILE, (count + 1, 20_000))
        (found,) = files_in_use(settings)
        assert found.level == "problem"
        assert found.do[0].startswith(f"sudo prlimit --pid {demo.process.pid} --nofile=8192:8192")
    assert list(files_in_use(settings)) == []


def test_too_little_address_space():
    """`ulimit -v` of a shared machine."""
    found = in_a_process("machine", "memory()", LIMIT.format("AS", 3_000_000_000, 3_000_000_000))
    assert found[0].level == "problem"
    assert found[0].do == ("ulimit -v unlimited",)


@pytest.mark.parametrize(
    ("files", "level", "megabytes"),
    [
        ({"meminfo": MEMINFO.format(2_000_000)}, "ok", "2,048 MB"),
        ({"meminfo": MEMINFO.format(700_000)}, "warning", "716 MB"),
        ({"meminfo": MEMINFO.format(300_000)}, "problem", "307 MB"),
        ({"meminfo": MEMINFO.format(2_000_000), "memory.max": "512000000\n", "memory.current": "112000000\n"}, "problem", "400 MB"),
        ({"meminfo": MEMINFO.format(2_000_000), "memory.max": "max\n", "memory.current": "1\n"}, "ok", "2,048 MB"),
        (
            {
                "meminfo": MEMINFO.format(2_000_000),
                "memory/memory.limit_in_bytes": "1000000000\n",
                "memory/memory.usage_in_bytes": "100000000\n",
            },
            "warning",
            "900 MB",
        ),
    ],
)
def test_memory_of_the_machine_and_of_the_container(tmp_path, files, level, megabytes):
    """What is less counts: the machine's own, or what the container (of either generation) leaves."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (found,) = memory(tmp_path, tmp_path)
    assert (found.level, found.found) == (level, f"{megabytes} available")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to processors")
def test_one_processor():
    """A process that may use one of several."""
    (found,) = in_a_process("machine", "processors()", "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])")
    assert (found.level, found.found.partition(",")[0]) == ("warning", "1 to use")


def test_processors_of_a_container(tmp_path):
    """`docker run --cpus 1.5`; `max` is no limit."""
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (found,) = processors(tmp_path)
    assert found.level == "warning"
    assert found.found.startswith(f"{min(1.5, os.cpu_count()):g} to use")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (found,) = processors(tmp_path)
    assert found.level == ("ok" if len(os.sched_getaffinity(0)) > 1 else "warning")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_the_clock_of_this_machine_is_asked():
    """The system answers, and without a right to change anything."""
    found = discipline()
    assert found is not None
    assert found.error_us >= 0


@pytest.mark.parametrize(
    ("found", "level"),
    [(Discipline(True, 20_000), "ok"), (Discipline(True, 1_500_000), "warning"), (Discipline(False, 16_000_000), "warning")],
)
def test_a_clock_that_nobody_corrects(found, level):
    """With the line that turns synchronisation on."""
    finding = judge(found)
    assert finding.level == level
    assert (level == "ok") == (not finding.do)


@pytest.mark.parametrize(
    ("offset_s", "level", "words"),
    [
        (0.0, "ok", "within 0.001 s"), (-0.49, "ok", "within 0.490 s"), (0.5, "warning", "0.500 s ahead of ours"),
        (-1.9, "warning", "1.900 s behind ours"), (2.0, "problem", "2.000 s ahead of ours"), (-3600.0, "problem", "3600.000 s behind ours"),
    ],
)  # fmt: skip
def test_a_server_with_another_time(offset_s, level, words):
    """From half a second on it is told; from two on orders would be denied."""
    found = compared("Redis", offset_s)
    assert (found.check, found.level) == ("clock of Redis", level)
    assert words in found.found


def test_time_zones_are_known():
    """Those of exchanges."""
    assert levels(time_zones()) == ["ok"]


def test_time_zones_that_are_missing(tmp_path):
    """A small container has none, and Python's own package of them may be missing, too."""
    (found,) = in_a_process(
        "clock", "time_zones()", "", "-S", PYTHONPATH=site_without(tmp_path / "site", "tzdata"), PYTHONTZPATH=""
    )  # fmt: skip
    assert found.level == "problem"
    assert "America/New_York" in found.found
    assert "tzdata" in found.do[0]
