"""The doctor on folders: what is in the way, room, file systems, the time a disk takes; and the compiler's cache."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from openbell.config import BusSettings, DatabaseSettings, FeedSettings, Settings, StrategySettings, TradingSettings
from openbell.services.doctor import kernel
from openbell.services.doctor.disk import confirm_ms, existing, file_system, folder, folders_of
from openbell.services.doctor.strategies import plans_of
from openbell.services.trader.prepare import prepare
from tests.unit.services.doctor import in_a_process, levels


def test_a_folder_in_order(tmp_path):
    """Room, file system, speed: three lines."""
    (tmp_path / "data").mkdir()
    found = list(folder("trading.data_dir", tmp_path / "data"))
    assert [finding.check for finding in found] == ["trading.data_dir", "file system", "disk"]
    assert "problem" not in levels(found)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_that_is_not_there_yet(tmp_path):
    """Judged by the one it would be made in, and not made."""
    found = next(iter(folder("trading.data_dir", tmp_path / "a/b")))
    assert "(will be made)" in found.found
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path):
    """The line moves it away."""
    (tmp_path / "data").write_text("")
    (found,) = folder("trading.data_dir", tmp_path / "data/deeper")
    assert (found.level, found.found) == ("problem", f"{tmp_path}/data is not a folder")
    assert found.do == (f"mv {tmp_path}/data {tmp_path}/data.old",)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which nobody may write")
def test_a_folder_that_cannot_be_written():
    """Not even root makes files in /proc."""
    (found,) = folder("trading.data_dir", Path("/proc"))
    assert found.level == "problem"
    assert "/proc cannot be written" in found.found
    assert "set trading.data_dir" in found.do[0]


def test_a_disk_that_is_nearly_full(tmp_path):
    """A file system of one megabyte, in a name space of its own."""
    code = "from openbell.services.doctor import disk; from pathlib import Path; print(*(f.level for f in disk.folder('k', Path('{}'))))"
    script = f'mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c "{code.format(tmp_path)}"'
    program = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    if shutil.which("unshare") is None or subprocess.run([*program[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a test mount anything")
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["problem", "warning", "ok"], done.stderr


def test_a_folder_in_memory():
    """A warning: it is empty after a restart."""
    if file_system(Path("/dev/shm")) != "tmpfs":
        pytest.skip("this machine has no /dev/shm in memory")
    found = list(folder("database.sqlite_path", Path("/dev/shm/openbell-of-a-test")))[1]
    assert (found.level, "in memory (tmpfs)" in found.found) == ("warning", True)
    assert found.do[0].startswith("export OPENBELL_DATABASE__SQLITE_PATH=")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/data", "ext4"), ("/data/x", "nfs4"), ("/data/xy", "ext4"), ("/with blank/y", "overlay"), ("/proc", "proc")],
)
def test_the_file_system_of_a_folder(tmp_path, path, kind):
    """That of the longest mount point above it; blanks are written as numbers there."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\nnas:/x /data/x nfs4 rw 0 0\noverlay /with\\040blank overlay rw 0 0\n"
    )
    assert file_system(Path(path), mounts) == kind


@pytest.mark.parametrize(("kind", "level"), [("nfs4", "problem"), ("cifs", "problem"), ("overlay", "warning"), ("xfs", "ok"), ("", None)])
def test_file_systems_that_will_not_do(tmp_path, kind, level):
    """On a network the locks cannot be relied on; a container's own layer goes with it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x / {kind or 'ext4'} rw 0 0\n" if kind else "")
    found = {finding.check: finding.level for finding in folder("trading.data_dir", tmp_path / "data", mounts)}
    assert found.get("file system") == level


def test_a_slow_disk(tmp_path, monkeypatch):
    """A warning above 50 ms: orders wait for it. It is not measured for longer than a second and a half."""
    real = os.fsync

    def slow(number):
        time.sleep(0.06)
        real(number)

    monkeypatch.setattr(os, "fsync", slow)
    began = time.monotonic()
    found = list(folder("trading.data_dir", tmp_path))[2]
    assert time.monotonic() - began < 3.0
    assert (found.check, found.level) == ("disk", "warning")


def test_a_disk_that_is_not_slow(tmp_path):
    """In milliseconds."""
    assert 0.0 < confirm_ms(tmp_path) < 10_000.0


def test_the_folders_of_the_settings(tmp_path):
    """Each once; with PostgreSQL the file of SQLite does not count."""
    apart = Settings(trading=TradingSettings(data_dir="/a"), database=DatabaseSettings(sqlite_path="/b/candles.db"))
    assert folders_of(apart) == {"trading.data_dir": Path("/a"), "database.sqlite_path": Path("/b")}
    assert list(folders_of(Settings())) == ["trading.data_dir"]
    server = Settings(trading=TradingSettings(data_dir="/a"), database=DatabaseSettings(engine="postgresql"))
    assert folders_of(server) == {"trading.data_dir": Path("/a")}


def test_existing_stops_at_the_root():
    """Whatever the path."""
    assert existing(Path("/no/such/folder/at/all")) == Path("/")


def test_a_cache_for_compiled_code(tmp_path, monkeypatch):
    """A folder that can be made, and one with a file in its place."""
    monkeypatch.setenv("OPENBELL_CACHE", str(tmp_path / "cache"))
    assert levels(kernel.cache()) == ["ok"]
    (tmp_path / "cache").write_text("")
    (found,) = kernel.cache()
    assert (found.level, found.do) == ("problem", ("export OPENBELL_CACHE=/var/tmp/openbell",))


RSI = Settings(
    trading=TradingSettings(strategies=(StrategySettings(id="rsi", symbols=("BTCUSDT",)),)), feed=FeedSettings(source="recorded")
)  # fmt: skip


def test_a_kernel_that_is_not_compiled(tmp_path, monkeypatch):
    """The first start will take its time; without strategies there is nothing to say."""
    monkeypatch.setenv("OPENBELL_CACHE", str(tmp_path))
    assert levels(kernel.compiled(RSI)) == ["warning"]
    assert levels(kernel.compiled(Settings())) == []


@pytest.mark.slow
def test_a_kernel_that_is_compiled():
    """By what the first start does."""
    for settings in (RSI, msgspec.structs.replace(RSI, bus=BusSettings(market="kafka"))):
        for plan in plans_of(settings):
            prepare(plan)
        assert levels(kernel.compiled(settings)) == ["ok"]


def test_interpreted_code():
    """For a debugger, and for nothing else."""
    (found,) = in_a_process("kernel", "compiled(Settings())", "from openbell.config import Settings", OPENBELL_INTERPRETED="1")
    assert (found.level, found.do) == ("warning", ("unset OPENBELL_INTERPRETED",))
