"""Where the contracts of stores are held: a SQLite file, and a PostgreSQL database of the test's own."""

import contextlib

import pytest

from openbell.adapters.stores.database import open_database
from tests.databases import empty_database

#: The name of an engine, and the marker of what needs a server.
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)]


@contextlib.contextmanager
def place_for(engine, folder):
    """A place where nothing is yet."""
    with contextlib.ExitStack() as stack:
        yield folder / "platform.db" if engine == "sqlite" else stack.enter_context(empty_database())


def rows(place, query, *values):
    """What is in a database, seen from beside the stores."""
    with contextlib.closing(open_database(place)) as database:
        return database.select(query, values)


def change(place, query, *values):
    """Change a database behind the stores' back; returns how many rows."""
    with contextlib.closing(open_database(place)) as database:
        return database.run(lambda sql: sql.execute(query, values))
