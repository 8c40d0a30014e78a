"""What goes wrong with a PostgreSQL server, in openbell's words: found, expected, what to do. There is no password in any of it."""

import psycopg

from openbell.adapters.stores.database import Address
from openbell.errors import JournalError, StorageError

#: Beginnings of codes that pass by themselves: no connection, too many, the server stops or starts, transactions in each other's way.
_PASSING = ("08", "53300", "57P", "40001", "40P01")
#: Beginning of a code, what it means, what was expected, what to do.
_BY_CODE = (
    ("53100", "its disk is full", "room on it", "make room and start again; nothing unsaved was acted on"),
    ("53300", "it has no connection left", "a free one", "raise its max_connections, or stop what holds them"),
    ("53", "it is out of resources ({text})", "a server with room", "raise its limits, or give it less to do"),
    ("25006", "it only reads (a standby)", "a server that may be written", "name the primary server in database.host"),
    (
        "42501", "user {user} may not do that ({text})", "a user with the rights",
        "grant them, or let the owner of the database run `openbell database upgrade`",
    ),
    (
        "42", "its tables are not as openbell made them ({text})", "those of this version",
        "restore them from a copy, or use another database",
    ),
    ("XX", "it is damaged ({text})", "a whole database", "restore it from a copy"),
)  # fmt: skip
#: The same for what is said while connecting, where there is no code: a part of the text instead.
_REFUSALS = (
    (
        "password", "it refuses user {user} with this password", "a user it knows",
        "set database.user and database.password (DB_USER, DB_PASSWORD)",
    ),
    ("pg_hba", "it does not let user {user} in from here", "an entry in its pg_hba.conf", "add one, or connect from another machine"),
    ('FATAL: role "', "it has no user {user}", "a user it knows", "set database.user (DB_USER), or CREATE ROLE {user} LOGIN"),
    (
        'FATAL: database "', "it has no such database", "one that exists",
        "CREATE DATABASE {name} OWNER {user}, or set database.name (DB_NAME)",
    ),
    ("permission denied", "user {user} may not connect", "a user with the right to", "GRANT CONNECT ON DATABASE {name} TO {user}"),
)  # fmt: skip


def may_pass(error: psycopg.Error) -> bool:
    """Whether the same work may succeed when it is done again: the connection broke, or the server said that it has no time."""
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    text = " ".join(str(error).split())
    return isinstance(error, psycopg.OperationalError) and not any(part in text for part, *_ in _REFUSALS)


def named(address: Address, error: psycopg.Error) -> StorageError:
    """The error in openbell's tree."""
    code, text = error.sqlstate or "", " ".join(str(error).split())
    words = {"user": address.user, "name": address.name, "text": text}
    for begin, found, expected, do in _BY_CODE if code else ():
        if code.startswith(begin):
            kind = JournalError if begin in ("42", "XX") else StorageError
            return kind(f"{address}: {found.format(**words)}", expected, do.format(**words))
    if may_pass(error):
        return StorageError(
            f"{address} does not answer ({text})", "a PostgreSQL server that runs and has a connection left",
            "start it, or set database.host and database.port (DB_HOST, DB_PORT)",
        )  # fmt: skip
    for part, found, expected, do in _REFUSALS if not code else ():
        if part in text:
            return StorageError(f"{address}: {found.format(**words)}", expected, do.format(**words))
    return StorageError(f"{address}: {text}", "a server that does what it is asked", "see the server's log")
