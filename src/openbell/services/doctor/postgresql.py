"""The PostgreSQL server of the settings: whether we get in, its version, its revision, room for our connections, durability, clock."""

import time
from collections.abc import Iterator
from typing import Any

from openbell.adapters.stores.database import Address, revision_of
from openbell.adapters.stores.revisions import NEWEST
from openbell.config import Settings
from openbell.errors import StorageError
from openbell.services.doctor.clock import compared
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.reach import ANSWER_SECONDS, unreachable
from openbell.services.doctor.versions import has_client
from openbell.services.stores import place_of

VERSION_MIN = 13
#: Connections of all services together: four each for eight of them, and some for tools.
CONNECTIONS = 40
_START = "sudo systemctl start postgresql    # in a checkout: scripts/services.sh up postgres"
_MOVE = "export DB_HOST=... DB_PORT=...    # where it is"
_LOGIN = "export DB_USER=... DB_PASSWORD=...    # the password of that user"

#: Everything that one look at the server tells. A limit of -1 is none.
_QUESTION = """
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('server_version'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)::int,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
       (SELECT numbackends FROM pg_stat_database WHERE datname = current_database())::int,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
       (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)::int,
       pg_is_in_recovery(),
       current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off',
       has_schema_privilege(current_schema(), 'CREATE'),
       extract(epoch FROM clock_timestamp())::float8
"""


def database(settings: Settings) -> Iterator[Finding]:
    """From the address to the revision of the tables; the first thing that is wrong ends it."""
    place = place_of(settings.database)
    if not isinstance(place, Address) or not has_client("psycopg"):
        return
    if (refused := unreachable("PostgreSQL", place.host, place.port, _START, _MOVE)) is not None:
        yield refused
        return
    try:
        before, row, after = _ask(place)
    except StorageError as error:
        yield problem("PostgreSQL", error.found, error.expected, *_remedy(error, place))
        return
    major, version, *rest = row
    if major < VERSION_MIN:
        yield problem("PostgreSQL", f"version {version}", f"version {VERSION_MIN} or newer", "sudo apt-get install postgresql")
    else:
        yield ok("PostgreSQL", f"{place}, version {version.split()[0]}, user {place.user}")
    yield from _state(place, rest)
    yield _revision(place)
    yield compared("PostgreSQL", float(rest[-1]) - (before + after) / 2.0)


def _ask(place: Address) -> tuple[float, tuple[Any, ...], float]:
    """One row of answers, and our time before and after the question."""
    import psycopg

    from openbell.adapters.stores.postgres_errors import named

    try:
        with psycopg.connect(
            host=place.host, port=place.port, user=place.user, password=place.password, dbname=place.name, autocommit=True,
            connect_timeout=int(ANSWER_SECONDS), application_name="openbell doctor",
            options=f"-c statement_timeout={int(ANSWER_SECONDS * 1000)}",
        ) as connection:  # fmt: skip
            connection.execute("SELECT 1")  # the first statement of a connection takes longer, and the clocks are compared by the next
            before = time.time()
            row = connection.execute(_QUESTION).fetchone()
            assert row is not None
            return before, row, time.time()
    except psycopg.Error as error:
        raise named(place, error) from error


def _state(place: Address, answers: list[Any]) -> Iterator[Finding]:
    """Connections, durability and rights."""
    left, in_database_max, in_database, of_user_max, of_user, is_standby, is_durable, may_create, _ = answers
    for most, used in ((in_database_max, in_database), (of_user_max, of_user)):
        if most >= 0:
            left = min(left, most - used)
    found = f"{left} left"
    if left < CONNECTIONS:
        more = f"sudo -u postgres psql -c 'ALTER SYSTEM SET max_connections = {2 * CONNECTIONS + 20}'    # then restart it"
        yield warning("connections", found, f"{CONNECTIONS} for all services", more)
    else:
        yield ok("connections", found)
    if is_standby:
        yield problem("PostgreSQL", f"{place} only reads (a standby)", "the primary server", _MOVE)
    if not is_durable:
        yield problem(
            "PostgreSQL", "it confirms what is not on the disk (fsync or synchronous_commit is off)", "both on: orders rely on it",
            "sudo -u postgres psql -c 'ALTER SYSTEM RESET fsync' -c 'ALTER SYSTEM RESET synchronous_commit' -c 'SELECT pg_reload_conf()'",
        )  # fmt: skip
    if not may_create:
        yield problem(
            "PostgreSQL", f"user {place.user} may not make tables in {place.name}", "the owner of the database",
            f"sudo -u postgres psql -c 'ALTER DATABASE {place.name} OWNER TO {place.user}'",
        )  # fmt: skip


def _revision(place: Address) -> Finding:
    try:
        revision = revision_of(place)
    except StorageError as error:
        return problem("revision", error.found, error.expected, *_remedy(error, place))
    return judge_revision(revision)


def judge_revision(revision: str | None) -> Finding:
    """What to say about the revision of a database's tables."""
    if revision == NEWEST:
        return ok("revision", f"{revision}, the newest")
    upgrade = "openbell database upgrade    # the next start does it, too"
    if revision is None:
        return ok("revision", f"no tables yet; the first start makes them (revision {NEWEST})")
    if not revision.isdigit() or int(revision) > int(NEWEST):
        newer = "pip install --upgrade openbell    # a newer one brought it there"
        return problem("revision", f"{revision} is not known to this version", f"up to {NEWEST}", newer)
    return warning("revision", f"{revision} is old", NEWEST, upgrade)


def _remedy(error: StorageError, place: Address) -> list[str]:
    """What to type when the server refuses us."""
    sql = "sudo -u postgres psql -c"
    for part, lines in (
        ("with this password", [_LOGIN, f"{sql} '\\password {place.user}'    # to set a new one"]),
        ("no such database", [f"sudo -u postgres createdb --owner {place.user} {place.name}", "export DB_NAME=...    # or another one"]),
        ("no user", [f"sudo -u postgres createuser --pwprompt {place.user}", _LOGIN]),
        ("pg_hba", ["sudo -u postgres psql -c 'SHOW hba_file'    # add a line for this user and this machine, then reload"]),
        ("may not connect", [f"{sql} 'GRANT CONNECT ON DATABASE {place.name} TO {place.user}'"]),
        ("no connection left", [f"{sql} 'ALTER SYSTEM SET max_connections = {2 * CONNECTIONS + 20}'    # then restart it"]),
    ):
        if part in error.found:
            return lines
    return [_START, _MOVE, *([f"# {error.do}"] if error.do else [])]
