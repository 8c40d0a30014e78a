"""The doctor on real servers: in order, and with what goes wrong with them."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import uuid
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic

from openbell.adapters.buses.rabbitmq.server import connect as connect_rabbitmq
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.revisions import REVISIONS
from openbell.config import BusSettings, RedisSettings, load_settings
from openbell.services.doctor import kafka, postgresql, rabbitmq
from openbell.services.doctor import redis as redis_server
from openbell.services.processes.fleet import free_port
from openbell.services.stores import place_of
from tests.running import openbell, until
from tests.servers import ROOT, environment, settings

pytestmark = pytest.mark.services

CANARY = "canary-7f3a"


def changed(found, section, **values):
    """Settings with other values in one section."""
    return msgspec.structs.replace(found, **{section: msgspec.structs.replace(getattr(found, section), **values)})


def one(findings, level="problem"):
    """The only finding of a level. No secret is in any of them."""
    findings = list(findings)
    assert CANARY not in repr(findings)
    (found,) = [finding for finding in findings if finding.level == level]
    assert found.do
    return found


def levels(findings):
    """By the name of the check."""
    return {finding.check: finding.level for finding in findings}


def test_all_servers_in_order(tmp_path):
    """The command as a whole, with the environment that scripts/services.sh prints; no password of it is shown."""
    settings()
    variables = {**environment(), "OPENBELL_SERVER__PORT": str(free_port())}
    done = openbell("doctor", folder=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for secret in (value for name, value in variables.items() if "PASSWORD" in name):
        assert secret not in done.stdout
    for name in ("PostgreSQL", "RabbitMQ", "Redis", "Kafka"):
        assert f"  ok       {name} " in done.stdout


# PostgreSQL


def statement(found, text):
    """One statement in the database of the settings."""
    place = found.database
    with psycopg.connect(
        host=place.host, port=place.port, user=place.user, password=place.password, dbname=place.name, autocommit=True
    ) as connection:
        connection.execute(text)


def test_a_database_in_order(database):
    """Empty, and at the newest revision."""
    found = list(postgresql.database(database))
    assert levels(found) == {"PostgreSQL": "ok", "connections": "ok", "revision": "ok", "clock of PostgreSQL": "ok"}
    assert "no tables yet" in found[2].found
    open_database(place_of(database.database)).close()
    assert levels(postgresql.database(database))["revision"] == "ok"


@pytest.mark.parametrize(
    ("values", "words", "remedy"),
    [
        ({"password": CANARY}, "refuses user openbell with this password", "export DB_USER=... DB_PASSWORD=..."),
        ({"password": ""}, "refuses user openbell with this password", "export DB_USER=... DB_PASSWORD=..."),
        ({"user": "nobody-of-this-name", "password": CANARY}, "refuses user nobody-of-this-name", "export DB_USER"),
        ({"name": "no_such_database"}, "no such database", "sudo -u postgres createdb --owner openbell no_such_database"),
        ({"port": 1}, "nothing listens on 127.0.0.1:1", "sudo systemctl start postgresql"),
        ({"host": "no-such-host.invalid"}, "nobody knows a machine called no-such-host.invalid", "export DB_HOST=..."),
    ],
)
def test_a_database_that_does_not_let_us_in(values, words, remedy):
    """Each with its own remedy."""
    found = one(postgresql.database(changed(settings("postgres"), "database", **values)))
    assert words in found.found
    assert found.do[0].startswith(remedy)


def test_a_port_where_no_postgresql_listens():
    """Redis, in this case."""
    base = settings("postgres", "redis")
    found = one(postgresql.database(changed(base, "database", port=base.redis.port, password=CANARY)))
    assert "does not answer" in found.found


def test_an_old_and_a_newer_revision(database):
    """The old one is a warning with the command that upgrades; the newer one needs a newer openbell."""
    open_database(place_of(database.database)).close()
    statement(database, f"UPDATE alembic_version SET version_num = '{REVISIONS[0]}'")
    assert one(postgresql.database(database), "warning").do[0].startswith("openbell database upgrade")
    statement(database, "UPDATE alembic_version SET version_num = '0999'")
    assert one(postgresql.database(database)).do[0].startswith("pip install --upgrade openbell")


def test_too_few_connections(database):
    """A limit of the database counts; with none left nobody gets in."""
    name = database.database.name
    statement(database, f"ALTER DATABASE {name} CONNECTION LIMIT 3")
    assert one(postgresql.database(database), "warning").found == "2 left"
    statement(database, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    found = one(postgresql.database(database))
    assert "too many connections" in found.found
    assert "max_connections" in found.do[0]


def test_a_database_that_confirms_too_early(database):
    """synchronous_commit=off loses the last orders with the power."""
    statement(database, f"ALTER DATABASE {database.database.name} SET synchronous_commit = off")
    assert "confirms what is not on the disk" in one(postgresql.database(database)).found


def test_a_user_who_may_not_make_tables(database):
    """The platform's tables could not be made."""
    statement(database, "REVOKE CREATE ON SCHEMA public FROM pg_database_owner, public")
    assert "may not make tables" in one(postgresql.database(database)).found


def test_an_old_server_and_a_standby():
    """What such servers would answer."""
    place = place_of(settings("postgres").database)
    well = postgresql.Answers(15, "15.18 (Debian)", 100, None, None, False, True, True, 0.0)
    assert levels(postgresql.judge(place, well)) == {"PostgreSQL": "ok", "connections": "ok"}
    assert one(postgresql.judge(place, well._replace(major=12))).expected == "version 13 or newer"
    assert "a standby" in one(postgresql.judge(place, well._replace(is_standby=True, may_create=False))).found


# Redis


@pytest.fixture
def own_redis(tmp_path):
    """Starts Redis servers of this test's own; called with what goes into their command line, it returns settings."""
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed; do: scripts/services.sh up redis"
    with contextlib.ExitStack() as stack:

        def start(*arguments, password=""):
            port = free_port()
            process = subprocess.Popen(
                [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path), *arguments],
                stdout=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="a Redis server")
            own = RedisSettings(host="127.0.0.1", port=port, password=password)
            return msgspec.structs.replace(load_settings(environment={}, folder=tmp_path), redis=own, bus=BusSettings(market="redis"))

        yield start


def test_redis_in_order():
    """The one of the services."""
    found = levels(redis_server.server(settings("redis")))
    assert found == {"Redis": "ok", "Redis memory": "ok", "Redis disk": "ok", "clock of Redis": "ok"}


def test_redis_with_a_password(own_redis):
    """The right one, a wrong one, none."""
    found = own_redis("--requirepass", f"{CANARY}-right", "--appendonly", "yes", password=f"{CANARY}-right")
    assert set(levels(redis_server.server(found)).values()) == {"ok"}
    for password, words in ((f"{CANARY}-wrong", "refuses the password"), ("", "asks for a password")):
        refused = one(redis_server.server(changed(found, "redis", password=password)))
        assert words in refused.found
        assert refused.do[0].startswith("export OPENBELL_REDIS__PASSWORD=...")


def test_redis_that_throws_keys_away(own_redis):
    """The command that stops it works."""
    found = own_redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")
    problem = one(redis_server.server(found))
    assert (problem.check, problem.expected) == ("Redis memory", "noeviction")
    subprocess.run(problem.do[0].partition("    #")[0].split(), check=True, stdout=subprocess.DEVNULL)
    assert levels(redis_server.server(found))["Redis memory"] == "ok"


def test_redis_that_is_nearly_full(own_redis):
    """It would refuse writes."""
    found = own_redis("--maxmemory", "30mb", "--appendonly", "yes")
    with redis.Redis("127.0.0.1", found.redis.port) as client:
        for number in range(26):
            client.set(f"filling-{number}", b"x" * 1_000_000)
    assert "noeviction" in one(redis_server.server(found), "warning").found


def test_redis_that_keeps_market_data_in_memory_only(own_redis):
    """Where it carries only what is shown, that is well."""
    found = own_redis()
    assert one(redis_server.server(found), "warning").check == "Redis disk"
    shown = msgspec.structs.replace(found, bus=BusSettings(market="kafka", orders="rabbitmq", control="redis"))
    assert levels(redis_server.server(shown))["Redis disk"] == "ok"


def test_a_replica(own_redis):
    """It only reads."""
    primary = own_redis("--appendonly", "yes")
    replica = own_redis("--replicaof", "127.0.0.1", str(primary.redis.port), "--appendonly", "yes")
    assert "a replica of 127.0.0.1" in one(redis_server.server(replica)).found


def test_a_redis_that_is_none():
    """PostgreSQL, in this case, and a port where nothing is."""
    base = settings("redis", "postgres")
    assert "Redis" in one(redis_server.server(changed(base, "redis", port=base.database.port, password=CANARY))).found
    found = one(redis_server.server(changed(base, "redis", port=1)))
    assert found.do[0].startswith("sudo systemctl start redis-server")


# RabbitMQ


def test_rabbitmq_in_order():
    """Nothing is left behind on the server."""
    assert levels(rabbitmq.server(settings("rabbitmq")))["RabbitMQ"] == "ok"


@pytest.mark.parametrize(
    ("values", "words", "remedy"),
    [
        ({"password": CANARY}, "refuses user 'openbell'", "export OPENBELL_RABBITMQ__USER=..."),
        ({"user": "nobody", "password": CANARY}, "refuses user 'nobody'", "export OPENBELL_RABBITMQ__USER=..."),
        ({"virtual_host": "no-such-host"}, "'no-such-host'", "sudo rabbitmqctl add_vhost no-such-host"),
        ({"port": 1}, "nothing listens on 127.0.0.1:1", "sudo systemctl start rabbitmq-server"),
        ({"tls": True}, "TLS", "export OPENBELL_RABBITMQ__HOST=..."),
    ],
)
def test_a_rabbitmq_that_does_not_let_us_in(values, words, remedy):
    """Each with its own remedy."""
    found = one(rabbitmq.server(changed(settings("rabbitmq"), "rabbitmq", **values)))
    assert words in found.found
    assert found.do[0].startswith(remedy)


def test_a_rabbitmq_that_is_none():
    """PostgreSQL, in this case."""
    base = settings("rabbitmq", "postgres")
    assert "does not speak AMQP" in one(rabbitmq.server(changed(base, "rabbitmq", port=base.database.port))).found


async def test_dead_letters_are_counted(own_name):
    """Those that wait for a person; a queue that is not there has none."""
    place, queue = settings("rabbitmq").rabbitmq, f"{own_name}dead-letters"
    assert (await rabbitmq.look(place, queue)).dead_letters == 0
    connection = await connect_rabbitmq(place, "a test")
    channel = await connection.channel(publisher_confirms=True)
    await channel.queue_declare(queue)
    try:
        for _ in range(3):
            await channel.basic_publish(b"x", routing_key=queue)
        assert (await rabbitmq.look(place, queue)).dead_letters == 3
    finally:
        await channel.queue_delete(queue)
        await connection.close()
    assert rabbitmq.letters(0).level == "ok"
    assert (rabbitmq.letters(3).level, rabbitmq.letters(3).found) == ("warning", "3 waiting for a person")


@pytest.mark.slow
def test_an_alarm_of_rabbitmq_and_a_user_without_rights(tmp_path_factory):
    """On a server of this test's own: short of memory it takes no messages, which only a client that tries finds out."""
    control = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
    if os.geteuid() != 0 or not control.exists():
        pytest.skip("needs a RabbitMQ server of its own, started by root on Debian")
    folder = Path("/var/tmp") / f"openbell-{uuid.uuid4().hex[:8]}"
    own = {**os.environ, "OPENBELL_SERVICES_DIR": str(folder), "OPENBELL_SERVICES_PORT_OFFSET": "3650"}  # no other test's

    def services(command):
        subprocess.run([ROOT / "scripts/services.sh", command, "rabbitmq"], env=own, check=True, capture_output=True)

    def rabbitmqctl(*arguments):
        node = {
            "HOME": str(folder / "rabbitmq"),
            "ERL_EPMD_PORT": "18019",
            "RABBITMQ_NODENAME": "openbell@localhost",
            "PATH": os.environ["PATH"],
        }
        subprocess.run(
            ["setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups", control, *arguments],
            env=node,
            check=True,
            capture_output=True,
        )

    try:
        services("up")
        place = changed(settings("rabbitmq"), "rabbitmq", port=19_322, user="narrow", password=f"{CANARY}-1")
        rabbitmqctl("add_user", "narrow", f"{CANARY}-1")
        assert "'/'" in one(rabbitmq.server(place)).found
        rabbitmqctl("set_permissions", "narrow", "^nothing", ".*", ".*")
        found = one(rabbitmq.server(place))
        assert "does not permit user 'narrow'" in found.found
        rabbitmqctl(*found.do[0].removeprefix("sudo rabbitmqctl ").replace("'", "").split())
        assert levels(rabbitmq.server(place)) == {"RabbitMQ": "ok", "dead letters": "ok"}
        rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
        found = one(rabbitmq.server(place))
        assert "takes no messages" in found.found
        rabbitmqctl("set_vm_memory_high_watermark", "absolute", "512MiB")
        until(lambda: levels(rabbitmq.server(place))["RabbitMQ"] == "ok", what="the end of the alarm")
    finally:
        services("down")
        shutil.rmtree(folder, ignore_errors=True)


# Kafka


def test_kafka_in_order():
    """A broker of a version that will do."""
    assert levels(kafka.server(settings("kafka")))["Kafka"] == "ok"


def test_kafka_that_is_none():
    """PostgreSQL, in this case, and a port where nothing is; one address of several that is dead is told as well."""
    base = settings("kafka", "postgres")
    found = one(kafka.server(changed(base, "kafka", servers=f"127.0.0.1:{base.database.port}")))
    assert "does not answer as Kafka does" in found.found
    found = one(kafka.server(changed(base, "kafka", servers="127.0.0.1:1")))
    assert found.do[0].startswith("scripts/services.sh up kafka")
    several = list(kafka.server(changed(base, "kafka", servers=f"{base.kafka.servers},127.0.0.1:1")))
    assert [finding.level for finding in several][:2] == ["problem", "ok"]


def test_kafka_that_refuses_a_user():
    """A cluster that lets everybody in does not know how to ask for a password."""
    found = one(kafka.server(changed(settings("kafka"), "kafka", user="trader", password=CANARY)))
    assert "refuses user 'trader'" in found.found
    assert found.do[0].startswith("export OPENBELL_KAFKA__USER=...")


def test_another_number_of_partitions(own_name):
    """As the server has it."""
    base = settings("kafka")
    admin, topic = AdminClient({"bootstrap.servers": base.kafka.servers}), f"{own_name}stock-prices"
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(20)
    try:
        there = until(lambda: kafka.ask(base.kafka).topics.get(topic))
        assert kafka.partitions({topic: len(there.partitions)}, 3).level == "ok"
        found = kafka.partitions({topic: len(there.partitions)}, 4)
        assert (found.level, found.found) == ("warning", f"{topic} has 3")
        assert found.do[0].startswith("export OPENBELL_BUS__PARTITIONS=3")
    finally:
        admin.delete_topics([topic])[topic].result(20)
    assert kafka.partitions({}, 4).level == "ok"


def test_a_broker_that_names_an_address_nobody_reaches():
    """The way to it leads through a relay, and what the cluster says of itself is changed on the way."""
    base = settings("kafka")
    ((host, port),) = kafka.places(base.kafka.servers)
    told, lie = (struct.pack(">b", len(host) + 1) + host.encode() + struct.pack(">i", number) for number in (port, 1))
    with socket.create_server(("127.0.0.1", 0)) as relay:

        def serve():
            while True:
                try:
                    client, _ = relay.accept()
                except OSError:
                    return
                server = socket.create_connection((host, port))
                threading.Thread(target=pump, args=(client, server, b"", b""), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, told, lie), daemon=True).start()

        def pump(source, target, old, new):
            with contextlib.suppress(OSError):
                while data := source.recv(65_536):
                    target.sendall(data.replace(old, new) if old else data)
                target.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        found = one(kafka.server(changed(base, "kafka", servers=f"127.0.0.1:{relay.getsockname()[1]}")))
    assert "the cluster says a broker is at 127.0.0.1:1" in found.found
    assert "advertised.listeners" in found.do[0]


def test_kafka_that_speaks_otherwise():
    """TLS where there is none."""
    found = one(kafka.server(changed(settings("kafka"), "kafka", tls=True)))
    assert found.expected == "a Kafka broker with TLS"
    assert "OPENBELL_KAFKA__TLS" in found.do[1]
