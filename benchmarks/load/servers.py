"""The servers that are measured: where they are, and what processor time they have used, where they run on this machine."""

import contextlib
import os
import re
import socket
import sys
import uuid
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: With one of these set, the environment names the servers.
NAMED = ("DB_HOST", "REDIS_ADDR", "REDIS_HOST", "OPENBELL_KAFKA__SERVERS", "OPENBELL_RABBITMQ__HOST")
#: The exit code of a job whose servers are not there.
NO_SERVERS = 3
TICK = os.sysconf("SC_CLK_TCK")


def environment():
    """What a process needs to find the servers; empty when nobody says where they are."""
    if any(name in os.environ for name in NAMED):
        return dict(os.environ)
    written = Path(os.environ.get("OPENBELL_SERVICES_DIR") or ROOT / "run", "services.env")
    if not written.is_file():
        return {}
    return {**os.environ, **dict(re.findall(r"^export (\w+)=(.*)$", written.read_text(), re.MULTILINE))}


def settings(*wanted):
    """The settings of a client of these servers; ends the process with a line that says what to do when one is not there."""
    from openbell.config import load_settings

    known = environment()
    if not known:
        leave("no servers are named")
    known.pop("OPENBELL_BENCH_DATA", None)
    found = load_settings(environment=known, folder=Path(__file__).parent)
    for name in wanted:
        try:
            socket.create_connection(place(found, name), timeout=5).close()
        except OSError as error:
            leave(f"{name} does not listen on {'{}:{}'.format(*place(found, name))} ({error.strerror or error})")
    return found


def place(found, name):
    """(host, port) of a server."""
    if name == "kafka":
        host, _, port = found.kafka.servers.partition(",")[0].rpartition(":")
        return host, int(port)
    section = {"postgres": found.database, "redis": found.redis, "rabbitmq": found.rabbitmq}[name]
    return section.host, section.port


def leave(why):
    """Say what is missing, and end."""
    print(f'{why}; start them with `scripts/services.sh up`, or name them: eval "$(scripts/services.sh env)"', file=sys.stderr)
    sys.exit(NO_SERVERS)


@contextlib.contextmanager
def fresh_database(found):
    """The name of an empty database of PostgreSQL, which is dropped at the end of the block."""
    import psycopg

    known, name = found.database, f"openbell_bench_{uuid.uuid4().hex[:8]}"

    def run(statement):
        with psycopg.connect(
            host=known.host, port=known.port, user=known.user, password=known.password, dbname=known.name, autocommit=True
        ) as connection:
            connection.execute(statement)

    run(f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        run(f"DROP DATABASE IF EXISTS {name}")  # not by force: that is refused while the server itself cleans up in there


def address(found, name):
    """The address of a database of that server."""
    from openbell.adapters.stores.database import Address

    known = found.database
    return Address(known.host, known.port, known.user, known.password, name)


def listener(host_port):
    """The process that listens on (host, port); None where this cannot be seen."""
    listening = f"{host_port[1]:04X}"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    sockets = {f"socket:[{fields[9]}]" for fields in lines if fields[3] == "0A" and fields[1].endswith(f":{listening}")}
    return next((int(folder.name) for folder in Path("/proc").glob("[0-9]*") if sockets & set(links(folder / "fd"))), None)


def cpu_of(pid):
    """Seconds of processor time of a process and its descendants; None for no process."""
    return None if pid is None else sum(map(used, family(pid)))


def links(folder):
    """Where the links of a folder point; nothing when we may not look."""
    try:
        return [os.readlink(entry) for entry in folder.iterdir()]
    except OSError:
        return []


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for one in found:
        for children in glob(f"/proc/{one}/task/*/children"):
            found += map(int, read(Path(children)).split())
    return found


def used(pid):
    """Seconds of processor time of a process, with its children that have ended."""
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def read(path):
    """The text of a file of /proc; empty when its process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
