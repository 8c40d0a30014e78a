"""Whether anything listens at an address: the first question about every server, with the answers a network gives."""

import socket

from openbell.services.doctor.finding import Finding, problem
from openbell.services.gateway.server import is_loopback

#: Seconds that connecting, and each question after it, may take.
ANSWER_SECONDS = 2.0


def unreachable(check: str, host: str, port: int, start: str, move: str) -> Finding | None:
    """The problem when nothing answers at an address, else None.

    `start` is the line that starts the server where it is this machine's, `move` names the settings that say where it is.
    """
    place = f"{host}:{port}"
    if host.startswith("/"):  # the folder of a local socket: who connects will say
        return None
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except socket.gaierror:
        return problem(check, f"nobody knows a machine called {host}", "the name or address of a server", move)
    except ConnectionRefusedError:
        return problem(check, f"nothing listens on {place}", "a server that runs", start if is_loopback(host) else _look(host, port), move)
    except TimeoutError:
        found = f"{place} did not answer within {ANSWER_SECONDS:g} s"
        return problem(check, found, "a server that runs, and no firewall before it", _look(host, port), move)
    except OSError as error:
        return problem(check, f"{place}: {error.strerror or error}", "an address that can be reached", _look(host, port), move)
    return None


def version_text(numbers: tuple[int, ...]) -> str:
    """`(6, 2)` as 6.2."""
    return ".".join(map(str, numbers))


def version_of(text: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version.

    >>> version_of("3.10.8-1"), version_of("7.0.15")
    ((3, 10, 8), (7, 0, 15))
    """
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def _look(host: str, port: int) -> str:
    return f"nc -vz {host} {port}    # from here; and start the server on {host}"
