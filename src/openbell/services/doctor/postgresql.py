"""The PostgreSQL server of the settings: whether we get in, its version, its revision, room for our connections, durability, clock."""

import time
from collections.abc import Iterator
from typing import NamedTuple

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
_SQL = "sudo -u postgres psql -c"
_MORE = (
    f"{_SQL} 'ALTER SYSTEM SET max_connections = {2 * CONNECTIONS + 20}'    # then restart it",
    f"{_SQL} 'SELECT datname, datconnlimit FROM pg_database'    # one database may have a limit of its own",
)
_LOGIN = "export DB_USER=... DB_PASSWORD=...    # the password of that user"

#: Everything that one look at the server tells, in the order of `Answers`.
_QUESTION = """
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('server_version'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)::int,
       (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
           - (SELECT numbackends FROM pg_stat_database WHERE datname = current_database())::int,
       (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
           - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)::int,
       pg_is_in_recovery(),
       current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off',
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
       extract(epoch FROM clock_timestamp())::float8
"""


class Answers(NamedTuple):
    """What the server tells about itself."""

    major: int
    version: str
    left: int  # connections, for anybody
    left_in_database: int | None  # None without a limit
    left_for_user: int | None
    is_standby: bool
    is_durable: bool
    may_create: bool
    now: float  # s since 1970


def database(settings: Settings) -> Iterator[Finding]:
    """From the address to the revision of the tables; the first thing that keeps us out ends it."""
    place = place_of(settings.database)
    if not isinstance(place, Address) or not has_client("psycopg"):
        return
    if (refused := unreachable("PostgreSQL", place.host, place.port, _START, _MOVE)) is not None:
        yield refused
        return
    try:
        before, answers, after = _ask(place)
    except StorageError as error:
        yield problem("PostgreSQL", error.found, error.expected, *_remedy(error, place))
        return
    yield from judge(place, answers)
    yield _revision(place)
    yield compared("PostgreSQL", answers.now - (before + after) / 2.0)


def judge(place: Address, answers: Answers) -> Iterator[Finding]:
    """What to say about version, connections, durability and rights."""
    found = f"{place}, version {answers.version.split()[0]}, user {place.user}"
    if answers.major < VERSION_MIN:
        yield problem("PostgreSQL", found, f"version {VERSION_MIN} or newer", "sudo apt-get install postgresql")
    else:
        yield ok("PostgreSQL", found)
    left = min(number for number in (answers.left, answers.left_in_database, answers.left_for_user) if number is not None)
    if left < CONNECTIONS:
        yield warning("connections", f"{left} left", f"{CONNECTIONS} for all services", *_MORE)
    else:
        yield ok("connections", f"{left} left")
    if answers.is_standby:
        yield problem("PostgreSQL", f"{place} only reads (a standby)", "the primary server", _MOVE)
    if not answers.is_durable:
        yield problem(
            "PostgreSQL", "it confirms what is not on the disk (fsync or synchronous_commit is off)", "both on: orders rely on it",
            f"{_SQL} 'ALTER SYSTEM RESET fsync' -c 'ALTER SYSTEM RESET synchronous_commit' -c 'SELECT pg_reload_conf()'",
            f"{_SQL} 'ALTER DATABASE {place.name} RESET synchronous_commit'",
        )  # fmt: skip
    if not answers.may_create and not answers.is_standby:
        grant = f"{_SQL} 'ALTER DATABASE {place.name} OWNER TO {place.user}'"
        yield problem("PostgreSQL", f"user {place.user} may not make tables in {place.name}", "the owner of the database", grant)


def _ask(place: Address) -> tuple[float, Answers, float]:
    """The answers, and our time before and after the question."""
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
            return before, Answers(*row), time.time()
    except psycopg.Error as error:
        raise named(place, error) from error


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
    for part, lines in (
        ("with this password", [_LOGIN, f"{_SQL} '\\password {place.user}'    # to set a new one"]),
        ("no such database", [f"sudo -u postgres createdb --owner {place.user} {place.name}", "export DB_NAME=...    # or another one"]),
        ("no user", [f"sudo -u postgres createuser --pwprompt {place.user}", _LOGIN]),
        ("pg_hba", ["sudo -u postgres psql -c 'SHOW hba_file'    # add a line for this user and this machine, then reload"]),
        ("may not connect", [f"{_SQL} 'GRANT CONNECT ON DATABASE {place.name} TO {place.user}'"]),
        ("no connection left", list(_MORE)),
        ("too many connections", list(_MORE)),
    ):
        if part in error.found:
            return lines
    return [_START, _MOVE, *([f"# {error.do}"] if error.do else [])]
