"""Versions: Python, the libraries openbell was made for, and the extras that the configured servers need."""

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from openbell import __version__
from openbell.config import Settings
from openbell.services.doctor.finding import Finding, ok, problem, warning

#: The newest Python that openbell was tried with.
_PYTHON_MAX = (3, 13)
_SHOWN = ("numpy", "numba")
#: What each engine is talked to with: module and distribution.
_CLIENTS = {
    "kafka": (("confluent_kafka", "confluent-kafka"), ("google.protobuf", "protobuf")),
    "rabbitmq": (("aiormq", "aiormq"), ("google.protobuf", "protobuf")),
    "redis": (("redis", "redis"), ("google.protobuf", "protobuf")),
    "postgresql": (("psycopg", "psycopg"),),
}
_EXTRAS = "pip install 'openbell[services]'"


def versions() -> Iterator[Finding]:
    """The interpreter and the installed libraries, against what openbell says it needs."""
    if sys.version_info[:2] > _PYTHON_MAX:
        newest = ".".join(map(str, _PYTHON_MAX))
        yield warning(
            "Python", platform.python_version(), f"3.11 to {newest}", f"uv venv --python {newest}    # and install openbell there"
        )
    wrong = list(_libraries())
    yield from wrong
    if not wrong:
        shown = [f"{name} {version(name)}" for name in _SHOWN]
        yield ok("versions", f"openbell {__version__}, Python {platform.python_version()}, {', '.join(shown)}")


def extras(settings: Settings) -> Iterator[Finding]:
    """The client libraries of the servers that are configured."""
    engines = engines_of(settings)
    missing = sorted({name for engine in engines for module, name in _CLIENTS[engine] if not has_client(module)})
    if missing:
        yield problem("extras", f"not installed: {', '.join(missing)}", f"the clients of {', '.join(engines)}", _EXTRAS)
    elif engines:
        yield ok("extras", f"clients of {', '.join(engines)}")


def engines_of(settings: Settings) -> list[str]:
    """The servers that are configured."""
    named = {settings.bus.market, settings.bus.orders, settings.bus.control, settings.database.engine}
    return [engine for engine in _CLIENTS if engine in named]


def has_client(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of its package
        return False


def allows(specifier: str, found: str) -> bool:
    """Whether a version is within a specifier of `>=`, `<`, `==` and `~=`, separated by commas.

    >>> allows(">=2.4,<2.6", "2.5.1"), allows("~=0.68.1", "0.69.0"), allows("~=2.1", "2.9")
    (True, False, True)
    """
    have = _numbers(found)
    for sign, text in re.findall(r"(>=|<=|==|~=|<|>)\s*([\d.]+)", specifier):
        want = _numbers(text)
        fits = {
            ">=": have >= want, "<=": have <= want, "==": have == want, "<": have < want, ">": have > want,
            "~=": have >= want and have[: len(want) - 1] == want[:-1],
        }  # fmt: skip
        if not fits[sign]:
            return False
    return True


def _libraries() -> Iterator[Finding]:
    """Requirements of the core that are missing, or have a version openbell was not made for."""
    try:
        needed = requires("openbell") or []
    except PackageNotFoundError:  # a source tree that is not installed has no list
        return
    for requirement in needed:
        text, _, marker = requirement.partition(";")
        parts = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*(.*)", text.strip())
        if parts is None or "extra" in marker or ("win32" in marker and sys.platform == "win32"):
            continue
        name, specifier = parts[1], parts[2]
        try:
            found = version(name)
        except PackageNotFoundError:
            yield problem(name, "not installed", specifier, f"pip install '{name}{specifier}'")
            continue
        if not allows(specifier, found):
            yield problem(name, found, specifier, f"pip install '{name}{specifier}'")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.match(r"[\d.]*", text)[0].strip(".").split(".") if number]  # type: ignore[index]
