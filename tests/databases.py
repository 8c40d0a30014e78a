"""A PostgreSQL database of a test's own, on the server of the environment; gone at the end of the test."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace

import psycopg

from openbell.adapters.stores.database import Address
from openbell.services.stores import place_of
from tests.servers import settings


def address() -> Address:
    """The database of the environment, or the one of this checkout."""
    place = place_of(settings("postgres").database)
    assert isinstance(place, Address)
    return place


def statement(where: Address, query: str, *values: object) -> list[tuple[object, ...]]:
    """One statement by itself; the rows it returns."""
    with psycopg.connect(
        host=where.host, port=where.port, user=where.user, password=where.password, dbname=where.name, autocommit=True
    ) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def empty_database() -> Iterator[Address]:
    """A database without tables."""
    server = address()
    made = replace(server, name=f"openbell_test_{uuid.uuid4().hex}")
    statement(server, f"CREATE DATABASE {made.name}")
    try:
        yield made
    finally:
        # Not WITH (FORCE): that is refused while the server itself is at work there, as its vacuum may be.
        statement(
            server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE (datname, usename) = (%s, %s)", made.name, made.user
        )
        statement(server, f"DROP DATABASE {made.name}")
