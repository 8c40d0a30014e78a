"""A PostgreSQL database of a test's own, on the server of the environment; gone at the end of the test."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace

import psycopg

from openbell.adapters.stores.database import Address
from openbell.config import load_settings
from openbell.services.stores import place_of


def address() -> Address:
    """The database of the environment."""
    place = place_of(load_settings(folder="/nowhere").database)
    assert isinstance(place, Address), 'no server is set: scripts/services.sh up; eval "$(scripts/services.sh env)"'
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
        statement(server, f"DROP DATABASE {made.name} WITH (FORCE)")
