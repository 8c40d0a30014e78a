"""The real servers, for tests that carry the marker `services`: where they are, and names of a test's own on them.

They are those that the environment names, else those that scripts/services.sh started in this checkout.
"""

import contextlib
import functools
import os
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from openbell.config import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
REMEDY = "scripts/services.sh up"
SERVERS = ("postgres", "redis", "rabbitmq", "kafka")
#: The variables that say where servers are; with one of them set, the environment has to name all that the tests use.
NAMED = ("DB_HOST", "REDIS_ADDR", "REDIS_HOST", "OPENBELL_RABBITMQ__HOST", "OPENBELL_KAFKA__SERVERS")


def settings(*servers: str) -> Settings:
    """The settings of a client. Fails with the remedy when one of the servers (all four when none is named) does not listen."""
    found = _settings()
    for server in servers or SERVERS:
        if refused := _refused(server):
            pytest.fail(refused, pytrace=False)
    return found


def environment() -> dict[str, str]:
    """The environment that names the servers, for a process that a test starts."""
    if any(name in os.environ for name in NAMED):
        return {name: value for name, value in os.environ.items() if name.startswith(("DB_", "REDIS_", "OPENBELL_"))}
    written = _written()
    if not written:
        pytest.fail(f"no servers: the environment names none, and none were started here; do: {REMEDY}", pytrace=False)
    return written


@contextlib.contextmanager
def fresh_database() -> Iterator[Settings]:
    """The settings with a database of PostgreSQL that is empty, and is dropped at the end of the block."""
    import psycopg

    base = settings("postgres")
    name = f"openbell_{uuid.uuid4().hex}"
    known = base.database

    def run(statement: str) -> None:
        with psycopg.connect(
            host=known.host, port=known.port, user=known.user, password=known.password, dbname=known.name, autocommit=True
        ) as connection:
            connection.execute(statement)

    run(f"CREATE DATABASE {name}")
    try:
        yield msgspec.structs.replace(base, database=msgspec.structs.replace(known, name=name))
    finally:
        # Not WITH (FORCE): that is refused while the server itself is at work there, as its vacuum may be.
        run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user")
        run(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def database() -> Iterator[Settings]:
    """The settings with an empty database of this test's own."""
    with fresh_database() as found:
        yield found


@pytest.fixture
def own_name() -> str:
    """A beginning for the topics, queues and keys of one test, such as `test-3f2a91c04b7d-`; what is made with it, the test removes."""
    return f"test-{uuid.uuid4().hex[:12]}-"


@functools.cache
def _written() -> dict[str, str]:
    """What scripts/services.sh wrote for clients."""
    folder = os.environ.get("OPENBELL_SERVICES_DIR") or ROOT / "run"
    try:
        text = Path(folder, "services.env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))


@functools.cache
def _settings() -> Settings:
    # A folder without a settings file and .env: only what the environment says.
    return load_settings(environment=environment(), folder=ROOT / "tests")


@functools.cache
def _refused(server: str) -> str:
    """Why a server is not to be had; looked at once, so that tests may stop servers afterwards."""
    found = _settings()
    host, port = {
        "postgres": (found.database.host, found.database.port),
        "redis": (found.redis.host, found.redis.port),
        "rabbitmq": (found.rabbitmq.host, found.rabbitmq.port),
        "kafka": found.kafka.servers.split(",")[0].rpartition(":")[::2],
    }[server]
    try:
        socket.create_connection((str(host), int(port)), timeout=5).close()
    except OSError as error:
        return f"{server} does not listen on {host}:{port} ({error.strerror or error}); do: {REMEDY}"
    return ""
