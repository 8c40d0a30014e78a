"""What every test may lean on: the repository's root, names on the servers, and one profile for property tests."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import database, own_name

__all__ = ["database", "own_name", "root"]

settings.register_profile("openbell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("openbell")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return Path(__file__).resolve().parents[1]
