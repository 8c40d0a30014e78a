"""The doctor on versions and extras: libraries that are missing or of another version."""

import pytest

from openbell.config import BusSettings, DatabaseSettings, Settings
from openbell.services.doctor.versions import allows, engines_of, extras, versions
from tests.unit.services.doctor import in_a_process, levels, site_without

SERVERS = Settings(
    bus=BusSettings(market="kafka", orders="rabbitmq", control="redis"), database=DatabaseSettings(engine="postgresql")
)  # fmt: skip
OF_SERVERS = "extras(Settings(bus=BusSettings(market='kafka', orders='rabbitmq', control='redis')))"


def test_what_is_installed_is_what_is_needed():
    """One line with the versions that matter."""
    (found,) = versions()
    assert found.level == "ok"
    assert all(name in found.found for name in ("openbell", "Python", "numpy", "numba"))


def test_a_library_of_another_version(tmp_path):
    """As the installer notes it; the remedy is the line for pip."""
    (tmp_path / "numpy-9.9.9.dist-info").mkdir()
    (tmp_path / "numpy-9.9.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9.9\n")
    (found,) = in_a_process("versions", "versions()", PYTHONPATH=str(tmp_path))
    assert (found.level, found.check, found.found) == ("problem", "numpy", "9.9.9")
    assert found.do[0].startswith("pip install 'numpy")


def test_a_library_that_is_missing(tmp_path):
    """Structured logs, in this case."""
    (found,) = in_a_process("versions", "versions()", "", "-S", PYTHONPATH=site_without(tmp_path / "site", "alembic"))
    assert (found.level, found.check, found.found) == ("problem", "alembic", "not installed")


def test_extras_of_the_configured_servers():
    """Installed here; without servers there is nothing to say."""
    assert engines_of(SERVERS) == ["kafka", "rabbitmq", "redis", "postgresql"]
    assert levels(extras(SERVERS)) == ["ok"]
    assert levels(extras(Settings())) == []


def test_extras_that_are_missing(tmp_path):
    """Named, with the one line that brings all of them."""
    site = site_without(tmp_path / "site", "aiormq", "redis")
    (found,) = in_a_process("versions", OF_SERVERS, "from openbell.config import *", "-S", PYTHONPATH=site)
    assert (found.level, found.found) == ("problem", "not installed: aiormq, redis")
    assert found.do == ("pip install 'openbell[services]'",)


@pytest.mark.parametrize(
    ("specifier", "version", "fits"),
    [
        ("<2.6,>=2.4", "2.4.6", True), ("<2.6,>=2.4", "2.6.0", False), ("<2.6,>=2.4", "2.3.9", False), ("~=0.68.1", "0.68.9", True),
        ("~=0.68.1", "0.69.0", False), ("~=6.0", "7.0", False), ("<1,>=0.165", "0.170.1", True), ("", "1", True),
    ],
)  # fmt: skip
def test_specifiers(specifier, version, fits):
    """As packaging reads them."""
    assert allows(specifier, version) is fits
