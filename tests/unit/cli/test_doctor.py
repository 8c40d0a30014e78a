"""`openbell doctor`: the page on terminals of several widths, as plain text, as JSON, and how it ends."""

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios

import pytest

from openbell.services.processes.fleet import free_port
from tests.running import clean_environment, openbell

CANARY = "canary-7f3a"
#: Nothing listens on port 1 of this machine.
DEAD = {
    "OPENBELL_BUS__MARKET": "kafka", "OPENBELL_BUS__ORDERS": "rabbitmq", "OPENBELL_BUS__CONTROL": "redis",
    "OPENBELL_DATABASE__ENGINE": "postgresql", "OPENBELL_KAFKA__SERVERS": "127.0.0.1:1", "OPENBELL_RABBITMQ__HOST": "127.0.0.1",
    "OPENBELL_RABBITMQ__PORT": "1", "REDIS_ADDR": "127.0.0.1:1", "DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_USER": "trader",
}  # fmt: skip
#: Wherever a secret may stand.
SECRETS = {
    "DB_PASSWORD": f"{CANARY}-1", "OPENBELL_REDIS__PASSWORD": f"{CANARY}-2", "OPENBELL_RABBITMQ__PASSWORD": f"{CANARY}-3",
    "OPENBELL_KAFKA__PASSWORD": f"{CANARY}-4", "OPENBELL_KAFKA__USER": "trader", "ANGEL_PASSWORD": f"{CANARY}-5",
    "ANGEL_API_KEY": f"{CANARY}-6", "ANGEL_TOTP_SECRET": f"{CANARY}-7", "ANGEL_CLIENT_CODE": f"{CANARY}-8",
}  # fmt: skip


def ports(**environment):
    """An environment in which the gateway's port is free."""
    return {"OPENBELL_SERVER__PORT": str(free_port()), **environment}


def on_a_terminal(folder, columns, **environment):
    """What a terminal of so many columns shows, and the exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    variables = {**clean_environment(**environment), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        variables.pop(name, None)
    process = subprocess.Popen([sys.executable, "-m", "openbell", "doctor"], cwd=folder, env=variables, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other side has ended
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait(30)


def plain(text):
    """Without lines that were erased, without colours and what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", re.sub(r"[^\n]*\r\x1b\[2K", "", text))


def test_a_machine_in_order(tmp_path):
    """Groups, one line a finding, a summary; exit code 0 although there may be warnings."""
    done = openbell("doctor", folder=tmp_path, **ports())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:3] == ["configuration", "software", "ports"]
    assert re.fullmatch(r"0 problems, \d+ warnings?, \d+ ok, in \d+\.\d s", lines[-1])
    assert list(tmp_path.iterdir()) == []


def test_json(tmp_path):
    """The same for a machine."""
    done = openbell("doctor", "--json", folder=tmp_path, **ports())
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["level"] in ("ok", "warning")
    assert sum(report["counts"].values()) == len(report["findings"])
    assert {"group": "ports", "check": "server.port", "level": "ok"}.items() <= next(
        finding for finding in report["findings"] if finding["check"] == "server.port"
    ).items()


def test_a_problem_is_an_exit_code(tmp_path):
    """What was found, what was expected, what to type."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = openbell("doctor", folder=tmp_path, OPENBELL_SERVER__PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    text = done.stdout.splitlines()
    line = next(index for index, line in enumerate(text) if line.startswith("  problem"))
    assert f"is taken by pid {os.getpid()}" in text[line]
    assert text[line + 1].strip() == "expected: a free port"
    assert text[line + 2].strip().startswith(f"kill {os.getpid()}    # or another port: openbell up --port ")


def test_settings_that_cannot_be_read(tmp_path):
    """The key; what depends on settings is not claimed to be well."""
    (tmp_path / "mine.yaml").write_text("serve: {port: 1}")
    done = openbell("doctor", "--json", "--config", "mine.yaml", folder=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert "unknown key 'serve'" in report["findings"][0]["found"]
    assert "ports" not in {finding["group"] for finding in report["findings"]}
    assert "machine" in {finding["group"] for finding in report["findings"]}


def test_servers_that_are_not_there(tmp_path):
    """Each of the four by its address, with what starts it; no secret, no traceback; within the time."""
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = openbell(*arguments, folder=tmp_path, **ports(**DEAD, **SECRETS))
        assert (done.returncode, done.stderr) == (1, "")
        assert "canary" not in done.stdout
        assert done.stdout.count("nothing listens on 127.0.0.1:1") == 4
    assert json.loads(done.stdout)["seconds"] < 8.0


def test_servers_that_never_answer(tmp_path):
    """Something listens, and says nothing: each question ends after 2 s, and all together within 10."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        address = {
            "OPENBELL_KAFKA__SERVERS": f"127.0.0.1:{port}", "OPENBELL_RABBITMQ__PORT": port, "REDIS_ADDR": f"127.0.0.1:{port}",
            "DB_PORT": port,
        }  # fmt: skip
        done = openbell("doctor", "--json", folder=tmp_path, **ports(**{**DEAD, **address, **SECRETS}))
    report = json.loads(done.stdout)
    found = {finding["check"]: finding for finding in report["findings"] if finding["level"] == "problem"}
    assert {"Kafka", "RabbitMQ", "Redis", "PostgreSQL"} <= found.keys()
    assert all(finding["do"] for finding in found.values())
    assert "canary" not in done.stdout + done.stderr
    assert report["seconds"] < 8.5


@pytest.mark.parametrize("columns", [60, 100])
def test_a_terminal(tmp_path, columns):
    """Colours, and no line is longer than the terminal, except a command, which has to be copied whole."""
    shown, code = on_a_terminal(tmp_path, columns, **ports(**DEAD, **SECRETS))
    assert code == 1
    assert "\x1b[1;31m  problem" in shown
    assert "\x1b[32m  ok" in shown
    lines = [line.rstrip() for line in plain(shown).splitlines()]
    commands = ("export", "sudo", "scripts", "openbell", "${EDITOR", "pip")
    assert [line for line in lines if len(line) > columns and not line.strip().startswith(commands)] == []
    assert any(line.strip().startswith("expected: a server that runs") for line in lines)


def test_help_names_the_command(tmp_path):
    """And its options."""
    done = openbell("doctor", "--help", folder=tmp_path)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--json", "--config"))


def test_without_servers_their_clients_are_not_loaded(tmp_path):
    """Nor the compiler: the doctor of an embedded platform is there at once."""
    code = "import sys; from openbell.cli import run; run(['doctor']); print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(**ports()), capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert loaded & {"confluent_kafka", "aio_pika", "aiormq", "redis", "psycopg", "numba", "llvmlite", "polars", "alembic"} == set()
