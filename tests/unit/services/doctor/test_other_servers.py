"""The doctor on servers that are too old, or whose clock is wrong: their words, from a socket of the test's own."""

import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest

from openbell.config import BusSettings, KafkaSettings, RedisSettings, Settings
from openbell.services.doctor import kafka, redis
from openbell.services.doctor.reach import unreachable, version_of

INIT_PRODUCER_ID = 22


@contextmanager
def speaking(answer):
    """A server that answers every request with what `answer` makes of it; yields its port."""

    def serve():
        while True:
            try:
                client, _ = opened.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client):
        with client:
            while request := client.recv(65_536):
                client.sendall(answer(request))

    with socket.create_server(("127.0.0.1", 0)) as opened:
        threading.Thread(target=serve, daemon=True).start()
        yield opened.getsockname()[1]


def redis_that_says(version, ahead_s=0.0, **told):
    """What a Redis server of a version answers, with a clock that is ahead."""
    info = "\r\n".join(f"{name}:{value}" for name, value in {"redis_version": version, "role": "master", "aof_enabled": 1, **told}.items())

    def answer(request):
        commands = request.upper().split(b"*")[1:]
        return b"".join(one(command) for command in commands)

    def one(command):
        if b"\r\nINFO\r\n" in command:
            return f"${len(info)}\r\n{info}\r\n".encode()
        if b"\r\nTIME\r\n" in command:
            now = time.time() + ahead_s
            return f"*2\r\n:{int(now)}\r\n:{int(now % 1 * 1e6)}\r\n".encode()
        return b"+OK\r\n"

    return answer


def look_at_redis(port):
    settings = Settings(bus=BusSettings(market="redis"), redis=RedisSettings(host="127.0.0.1", port=port))
    return {finding.check: finding for finding in redis.server(settings)}


def test_an_old_redis():
    """It lacks commands that openbell uses."""
    with speaking(redis_that_says("5.0.14")) as port:
        found = look_at_redis(port)["Redis"]
    assert (found.level, found.expected) == ("problem", "version 7.0 or newer")


@pytest.mark.parametrize(("ahead_s", "level"), [(0.0, "ok"), (1.0, "warning"), (-5.0, "problem")])
def test_a_redis_with_another_time(ahead_s, level):
    """Its clock, or ours."""
    with speaking(redis_that_says("7.2.4", ahead_s)) as port:
        found = look_at_redis(port)
    assert found["Redis"].level == "ok"
    assert found["clock of Redis"].level == level


def test_a_redis_that_could_not_write():
    """Its disk is full; and one that still reads its data."""
    with speaking(redis_that_says("7.2.4", aof_last_write_status="err")) as port:
        assert look_at_redis(port)["Redis disk"].level == "problem"
    with speaking(redis_that_says("7.2.4", loading=1)) as port:
        assert look_at_redis(port)["Redis"].level == "warning"


def kafka_that_speaks(version):
    """A broker that speaks InitProducerId up to a version."""

    def answer(request):
        (number,) = struct.unpack_from(">i", request, 8)
        body = struct.pack(">ihi", number, 0, 1) + struct.pack(">hhh", INIT_PRODUCER_ID, 0, version)
        return struct.pack(">i", len(body)) + body

    return answer


def test_an_old_kafka():
    """Before 2.5 a producer could not be sure that nothing is there twice."""
    with speaking(kafka_that_speaks(2)) as port:
        settings = Settings(kafka=KafkaSettings(servers=f"127.0.0.1:{port}"))
        (found,) = kafka.server(settings)
    assert (found.level, found.expected) == ("problem", "Kafka 2.5 or newer")
    with speaking(kafka_that_speaks(5)) as port:
        assert kafka.versions("127.0.0.1", port, False) == {INIT_PRODUCER_ID: 5}


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x0a0123456789", b"\0\0\0\x0a"])
def test_what_is_no_kafka(answer):
    """Whatever it answers."""
    with speaking(lambda _: answer + b"\0" if answer else b"x") as port:
        settings = Settings(kafka=KafkaSettings(servers=f"127.0.0.1:{port}"))
        (found,) = kafka.server(settings)
    assert "does not answer as Kafka does" in found.found


def test_addresses_of_a_cluster():
    """With and without a port; of the sixth version of the protocol, too."""
    assert kafka.places("a:1, b ,[::1]:3,") == [("a", 1), ("b", 9092), ("::1", 3)]


def test_an_address_that_nobody_knows():
    """The remedy is the setting that names it."""
    found = unreachable("Redis", "no-such-host.invalid", 1, "start", "export REDIS_ADDR=host:port")
    assert found is not None
    assert (found.found, found.do) == ("nobody knows a machine called no-such-host.invalid", ("export REDIS_ADDR=host:port",))


def test_another_machine_is_not_started_from_here():
    """The line looks whether it can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    name = socket.gethostname()
    found = unreachable("Redis", name, port, "start", "move")
    assert found is None or found.do[0].startswith(f"nc -vz {name} {port}") or found.do == ("move",)


@pytest.mark.parametrize(("text", "numbers"), [("3.10.8-1", (3, 10, 8)), ("7.0.15", (7, 0, 15)), ("7rc1", (7,)), ("", ()), ("x", ())])
def test_versions_as_they_are_written(text, numbers):
    """Numbers up to the first that is none."""
    assert version_of(text) == numbers


def test_addresses_are_looked_at_together():
    """Five that never answer take as long as one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = ",".join([f"127.0.0.1:{silent.getsockname()[1]}"] * 5)
        began = time.monotonic()
        found = list(kafka.server(Settings(kafka=KafkaSettings(servers=servers))))
    assert [finding.level for finding in found] == ["problem"] * 5
    assert time.monotonic() - began < 6.0
