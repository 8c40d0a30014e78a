"""The doctor on ports: free, or who has them."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from openbell.config import MetricsSettings, ServerSettings, Settings
from openbell.services.doctor.ports import gateway_port, metrics_port
from openbell.services.doctor.processes import listener, process
from openbell.services.processes.fleet import free_port
from tests.running import until


def on(port, host="127.0.0.1"):
    return Settings(server=ServerSettings(host=host, port=port), metrics=MetricsSettings(addr=f":{port}"))


@contextmanager
def answering(body):
    """An HTTP server that answers every GET with this body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_free_port():
    """Both addresses."""
    port = free_port()
    for look, check in ((gateway_port, "server.port"), (metrics_port, "metrics.addr")):
        (found,) = look(on(port))
        assert (found.check, found.level, found.found) == (check, "ok", f"127.0.0.1:{port} is free")


def test_no_metrics_no_port():
    """METRICS_ADDR= is for none."""
    assert list(metrics_port(Settings(metrics=MetricsSettings(addr="")))) == []


def test_a_port_that_another_program_holds():
    """Its number and its command, the line that ends it, and a port that is free instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (found,) = gateway_port(on(port))
        assert found.level == "problem"
        assert f"127.0.0.1:{port} is taken by pid {os.getpid()} (" in found.found
        assert found.do[0].startswith(f"kill {os.getpid()}    # or another port: openbell up --port ")
        other = int(found.do[0].rpartition(" ")[2])
        assert next(iter(gateway_port(on(other)))).level == "ok"
        (found,) = metrics_port(on(port))
        assert "METRICS_ADDR=:" in found.do[0]


def said(status):
    """What /health answers."""
    return json.dumps({"status": status, "timestamp": "2026-01-31T10:30:00Z", "version": "1.2.3", "checks": {}}).encode()


def test_a_port_that_another_openbell_holds():
    """Known by its /health: nothing is wrong, and a second one cannot start."""
    with answering(said("healthy")) as port:
        (found,) = gateway_port(on(port))
    assert found.level == "warning"
    assert "openbell 1.2.3 runs there, healthy" in found.found


def test_an_openbell_that_is_not_well():
    """It says so, or does not answer at all; the address of the metrics need not."""
    with answering(said("unhealthy")) as port:
        (found,) = gateway_port(on(port))
    assert (found.level, "is unhealthy" in found.found) == ("problem", True)
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, "openbell"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as silent:
        assert silent.stdout is not None
        port = int(silent.stdout.readline())
        (gateway,), (metrics,) = gateway_port(on(port)), metrics_port(on(port))
        silent.communicate(b"\n")
    assert (gateway.level, "an openbell that does not answer" in gateway.found) == ("problem", True)
    assert (metrics.level, "openbell listens there" in metrics.found) == ("warning", True)


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"status": "healthy"}', b"\xff"])
def test_another_web_server_is_no_openbell(body):
    """Whatever it answers."""
    with answering(body) as port:
        (found,) = gateway_port(on(port))
    assert found.level == "problem"


def test_an_address_of_another_machine():
    """Not ours to listen on (TEST-NET-1)."""
    (found,) = gateway_port(on(free_port(), "192.0.2.1"))
    assert found.level == "problem"
    assert "cannot listen on 192.0.2.1" in found.found


def test_a_process_is_shown_without_its_secrets():
    """Command lines of other programs may hold passwords and addresses with passwords."""
    arguments = ["--password", "canary1", "--token=canary2", "postgres://u:canary3@db/x", "end"]
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        code = "import sys; sys.stdin.read()"
        started = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, pass_fds=[taken.fileno()])
        port = taken.getsockname()[1]
        taken.close()
        try:
            found = until(lambda: (found := listener(port)) and found.pid == started.pid and found)
            assert process(started.pid) == found
            assert "canary" not in found.command
        finally:
            started.communicate()
    assert process(started.pid) is None
