"""The ports openbell listens on: free, or who has them, and whether that is another openbell."""

import errno
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

from openbell.config import Settings
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.processes import listener
from openbell.services.gateway.server import parse_address

ANSWER_SECONDS = 2.0
#: Ports after the one that is taken, among which a free one is looked for.
_TRIED = 50
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def gateway_port(settings: Settings) -> Iterator[Finding]:
    """The port of the page and the API."""
    host, port = settings.server.host, settings.server.port
    yield _port("server.port", host, port, "openbell up --port {}")


def metrics_port(settings: Settings) -> Iterator[Finding]:
    """The port of the metrics, where there is one."""
    if settings.metrics.addr:
        host, port = parse_address(settings.metrics.addr)
        yield _port("metrics.addr", host, port, "METRICS_ADDR=:{} openbell up")


def refusal(host: str, port: int) -> OSError | None:
    """Why nobody can listen on an address now, None when one can. Listens for a moment, exactly as the platform would."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, port))
            opened.listen(1)
    except OSError as error:
        return error
    return None


def health(host: str, port: int) -> dict[str, Any] | None:
    """What an openbell says on GET /health; None when something else listens there, or does not answer."""
    connection = http.client.HTTPConnection(_ANY.get(host, host), port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health", headers={"Host": "localhost"})
        answer = json.loads(connection.getresponse().read(1 << 20))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    is_ours = isinstance(answer, dict) and {"status", "version", "checks"} <= answer.keys()
    return answer if is_ours else None


def _port(check: str, host: str, port: int, other: str) -> Finding:
    error = refusal(host, port)
    if error is None:
        return ok(check, f"{host}:{port} is free")
    if error.errno != errno.EADDRINUSE:
        reason = error.strerror or str(error)
        return problem(
            check, f"cannot listen on {host}:{port}: {reason}", "an address of this machine, a port above 1023", other.format(8081)
        )
    return _taken(check, host, port, other.format(_free(host, port)))


def _taken(check: str, host: str, port: int, other: str) -> Finding:
    holder, answer = listener(port), health(host, port)
    who = str(holder) if holder else "a process of another user"
    end = f"kill {holder.pid}    # or another port: {other}" if holder else f"sudo ss -ltnp 'sport = :{port}'    # or: {other}"
    if answer is None and (holder is None or not holder.is_openbell):
        return problem(check, f"{host}:{port} is taken by {who}", "a free port", end)
    if answer is None and check == "server.port":
        again = f"kill {holder.pid}    # and start it again, unless another line here says why" if holder else end
        return problem(check, f"{host}:{port}: an openbell that does not answer, {who}", "an answer to GET /health", again)
    if answer is not None and answer["status"] != "healthy":
        look = f"curl -s http://{_ANY.get(host, host)}:{port}/health    # says which part"
        found = f"{host}:{port}: openbell {answer['version']} runs there and is {answer['status']}, {who}"
        return problem(check, found, "a healthy one", look, end)
    state = f"openbell {answer['version']} runs there, healthy" if answer else "openbell listens there"
    return warning(check, f"{host}:{port}: {state}, {who}", "a free port, if another one is to start", end)


def _free(host: str, port: int) -> int:
    """A free port near a taken one."""
    return next((near for near in range(port + 1, min(port + _TRIED, 65_536)) if refusal(host, near) is None), 0)
