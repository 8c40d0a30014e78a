"""The configuration as the doctor sees it: whether it can be read, what is misspelt, and settings that do not go together."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from openbell.config import ServerSettings, Settings, load_settings
from openbell.config.settings import SECRETS
from openbell.config.sources import DEFAULT_FILE, NAMES, NO_SETTINGS, PREFIX, Given
from openbell.errors import ConfigError, OpenbellError
from openbell.services.doctor.finding import Finding, edit, ok, problem, warning
from openbell.services.gateway.server import check_host, is_loopback, parse_address

_OURS = (*NAMES, "REDIS_ADDR")
#: How alike two names are, from 0 to 1, for one to be taken for a slip of the other.
_ALIKE = 0.85
#: So many variables are named; of more only the number is shown.
_NAMED = 4


def read(file: Path | None, environment: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """The settings, or None where they cannot be read; and every variable and the first key that is in the way."""
    found = [*_wrong_variables(environment), *_misspelt(environment)]
    refused = {finding.check for finding in found if finding.level == "problem"}
    settings = None
    try:
        settings = load_settings(file, environment={name: value for name, value in environment.items() if name not in refused})
    except OpenbellError as error:
        path = _file_of(error, file, environment)
        found.append(problem("settings", error.found, error.expected, edit(path, error.do)))
    if refused:
        settings = None
    if settings is not None:
        found.insert(0, ok("settings", _sources(file, environment)))
    return settings, found


def together(settings: Settings) -> Iterator[Finding]:
    """Settings that contradict each other."""
    found = [*_buses(settings), *_addresses(settings), *_logins(settings)]
    yield from found or [ok("settings together", "nothing contradicts")]


def secret_files(folder: Path) -> Iterator[Finding]:
    """Files with secrets that other users of this machine can read."""
    for name in (".env", "config.env"):
        path = folder / name
        if path.is_file() and path.stat().st_mode & 0o077 and any(secret.upper() in path.read_text(errors="replace") for secret in SECRETS):
            mode = path.stat().st_mode & 0o777
            yield warning(name, f"holds secrets, and other users of this machine may read it ({mode:o})", "mode 600", f"chmod 600 {name}")


def _buses(settings: Settings) -> Iterator[Finding]:
    bus = settings.bus
    engines = {"market": bus.market, "orders": bus.orders, "control": bus.control}
    outside = {name: engine for name, engine in engines.items() if engine != "inprocess"}
    if not outside:
        return
    shown = ", ".join(f"bus.{name} is {engine}" for name, engine in outside.items())
    servers = {"market": "kafka", "orders": "rabbitmq", "control": "redis"}
    for name in engines.keys() - outside.keys():
        yield warning(
            "settings together", f"{shown}, and bus.{name} is inprocess", "servers for all three, or none: services that hear each other",
            f"export OPENBELL_BUS__{name.upper()}={servers[name]}",
        )  # fmt: skip
    if settings.database.engine == "sqlite":
        yield warning(
            "settings together", f"{shown}, and database.engine is sqlite", "postgresql for `openbell serve`: a file is of one machine",
            "export OPENBELL_DATABASE__ENGINE=postgresql",
        )  # fmt: skip


def _addresses(settings: Settings) -> Iterator[Finding]:
    server, metrics = settings.server, settings.metrics.addr
    hosts = [("server.host", server.host)]
    if metrics:
        host, port = parse_address(metrics)
        hosts.append(("metrics.addr", host))
        if port == server.port != 0:
            yield problem(
                "settings together", f"server.port and metrics.addr are both {port}", "two ports", f"export METRICS_ADDR=:{port + 1}"
            )
    for key, host in hosts:
        try:
            check_host(ServerSettings(host=host, public=server.public))
        except ConfigError as error:
            variable = "OPENBELL_SERVER__HOST=127.0.0.1" if key == "server.host" else f"METRICS_ADDR=:{metrics.rpartition(':')[2]}"
            yield problem(key, error.found.replace("server.host", key), error.expected, f"export {variable}    # {error.do}")


def _logins(settings: Settings) -> Iterator[Finding]:
    rabbit, kafka, redis, bus = settings.rabbitmq, settings.kafka, settings.redis, settings.bus
    engines = {bus.market, bus.orders, bus.control}
    if kafka.user and not kafka.password and "kafka" in engines:
        yield problem("kafka.password", "there is a user, and no password", "both, or none", "export OPENBELL_KAFKA__PASSWORD=...")
    if "rabbitmq" in engines and rabbit.user == "guest" and not is_loopback(rabbit.host):
        yield warning(
            "rabbitmq.user", f"guest on {rabbit.host}", "another user: RabbitMQ takes guest from its own machine only",
            "rabbitmqctl add_user openbell    # and set OPENBELL_RABBITMQ__USER and OPENBELL_RABBITMQ__PASSWORD",
        )  # fmt: skip
    kafka_host = kafka.servers.partition(",")[0].rpartition(":")[0]
    servers = (("kafka", kafka_host, kafka), ("rabbitmq", rabbit.host, rabbit), ("redis", redis.host, redis))
    for name, host, section in servers:
        if name in engines and section.password and not section.tls and not is_loopback(host):
            yield warning(
                f"{name}.tls", f"the password for {host} goes over the network as it is", "TLS, or a network of your own",
                f"export OPENBELL_{name.upper()}__TLS=true",
            )  # fmt: skip


def _wrong_variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Every variable of ours that is unknown, or has a value that cannot be."""
    for name, value in environment.items():
        try:
            given = Given()
            given.take_variables({name: value}, "the environment", strict=False)
            given.build(Settings, "")
        except ConfigError as error:
            yield problem(name, error.found, error.expected, f"unset {name}" + (f"    # {error.do}" if error.do else ""))


def _misspelt(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that look like ours and are not read."""
    for name, value in environment.items():
        if name in _OURS or name.startswith(PREFIX) or not value:
            continue
        near = [name.upper()] if name.upper().startswith(PREFIX) else get_close_matches(name.upper(), _OURS, 1, _ALIKE)
        if near:
            yield warning(name, "a variable that openbell does not read", near[0], f'export {near[0]}="${name}"; unset {name}')


def _file_of(error: OpenbellError, file: Path | None, environment: Mapping[str, str]) -> str:
    """The file to mend."""
    if error.found.startswith(".env") or " in .env" in error.found:
        return ".env"
    return str(file or environment.get(f"{PREFIX}CONFIG") or DEFAULT_FILE)


def _sources(file: Path | None, environment: Mapping[str, str]) -> str:
    """Where the settings come from. Names of variables only."""
    wanted = str(file or environment.get(f"{PREFIX}CONFIG") or DEFAULT_FILE)
    files = [name for name in (wanted, ".env") if Path(name).is_file()]
    names = sorted(name for name in environment if name in _OURS or (name.startswith(PREFIX) and name not in NO_SETTINGS))
    shown = names if len(names) <= _NAMED else [f"{len(names)} variables"]
    return "from " + ", ".join([*files, *shown, "defaults"])
