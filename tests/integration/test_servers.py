"""The servers that scripts/services.sh starts: each lets our client in, and what a test makes there is its own."""

import aio_pika
import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient

from tests.servers import settings

pytestmark = pytest.mark.services


def connect(found):
    """A connection to the database of the settings."""
    place = found.database
    return psycopg.connect(host=place.host, port=place.port, user=place.user, password=place.password, dbname=place.name, autocommit=True)


def test_a_database_of_its_own(database):
    """Empty, not the one of the platform, and its user may make tables."""
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        connection.execute("CREATE TABLE mine (x int)")
    assert database.database.name != settings("postgres").database.name


def test_the_database_asks_for_the_password():
    """Nobody is let in by being on the same machine."""
    place = settings("postgres").database
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=place.host, port=place.port, user=place.user, password="wrong", dbname=place.name)


def test_redis_keeps_what_it_was_told(own_name):
    """It appends every write to a file."""
    place = settings("redis").redis
    with redis.Redis(place.host, place.port, password=place.password or None) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.set(f"{own_name}key", "1", ex=60)
        assert client.get(f"{own_name}key") == b"1"
        client.delete(f"{own_name}key")


async def test_rabbitmq_lets_our_user_in(own_name):
    """And nobody as guest."""
    place = settings("rabbitmq").rabbitmq
    where = {"host": place.host, "port": place.port, "timeout": 10}
    async with await aio_pika.connect(login=place.user, password=place.password, **where) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{own_name}queue", durable=True)
        await queue.delete()
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await aio_pika.connect(login="guest", password="guest", **where)


def test_kafka_is_one_broker():
    """It names itself by the address that clients reach it at."""
    servers = settings("kafka").kafka.servers
    brokers = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=20).brokers
    assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == [servers]
