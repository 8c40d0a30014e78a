"""Settings: read once at the start, then frozen.

    arguments  >  environment  >  .env  >  YAML file  >  defaults

A setting is a path such as `server.port`. In YAML it is nested, in the environment it is `OPENBELL_SERVER__PORT`, or one of the names
that have a meaning of their own (`SQLITE_PATH`, `REDIS_ADDR`, ...). An unknown key is an error that offers the near names, and every
error says where the value came from.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from openbell.errors import ConfigError, StorageError, suggest

__all__ = ["Settings", "load_settings"]

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535, description="a port from 0 to 65535")]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
Amount = Annotated[float, msgspec.Meta(ge=0.0, lt=1e15, description="a finite number, 0 or more")]
Address = Annotated[str, msgspec.Meta(pattern=r"^$|^\S*:\d{1,5}$", description="host:port, :port, or nothing")]
Speed = Annotated[str, msgspec.Meta(pattern=r"^(max|\d+(\.\d+)?x?)$", description="a number such as 2 or 0.5x, or max")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="letters, digits, and . _ -")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of settings. Its text never shows a secret, so that it may be logged."""

    def __repr__(self) -> str:
        shown = (f"{name}={'***' if name in SECRETS and value else repr(value)}" for name, value in msgspec.structs.asdict(self).items())
        return f"{type(self).__name__}({', '.join(shown)})"


SECRETS = {"password", "api_key", "client_code", "totp_secret"}


class ServerSettings(Section, frozen=True):
    """The gateway. An address that others can reach is refused unless `public` says that this is meant."""

    host: str = "127.0.0.1"
    port: Port = 8081
    public: bool = False
    allowed_hosts: tuple[str, ...] = ()  # names besides the loopback ones under which a browser may reach us


class DatabaseSettings(Section, frozen=True):
    """Where candles are kept: SQLite, or PostgreSQL where one is configured."""

    host: str = "localhost"
    port: Port = 5432
    user: str = "openbell"
    password: str = ""
    name: str = "openbell"
    sqlite_path: str = "data/candles.db"


class RedisSettings(Section, frozen=True):
    """The Redis server of a platform that runs in several processes."""

    host: str = "localhost"
    port: Port = 6379


class MetricsSettings(Section, frozen=True):
    """Prometheus metrics: `host:port`, the host 127.0.0.1 when it is left out; empty for none."""

    addr: Address = ":9090"


class LoggingSettings(Section, frozen=True):
    """`format` is `console`, `json`, or `auto`: console on a terminal, JSON otherwise."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "console", "json"] = "auto"


class FeedSettings(Section, frozen=True):
    """Where market data comes from: `simulated`, `recorded` (the shipped session), or the path of a file of ticks."""

    source: str = "simulated"
    speed: Speed = "1"  # times real time, or `max`
    seed: Count = 1


class StrategySettings(Section, frozen=True):
    """One strategy at work. `strategy` is a shipped name or a file, by default the id itself."""

    id: Name
    strategy: str = ""
    enabled: bool = True
    symbols: tuple[str, ...] = ()
    timeframe: str = "1m"
    params: dict[str, float] = {}
    cash: Amount = 100_000.0
    limits: dict[str, float | None] = {}  # over the defaults of openbell.model.plan.Limits


class TradingSettings(Section, frozen=True):
    """The bus, the journal, the simulated venue, and the strategies."""

    event_bus_buffer: Count = 1000
    data_dir: str = "data"
    fee_bps: Amount = 10.0
    timeframes: tuple[str, ...] = ("1s", "5s", "1m", "5m")
    strategies: tuple[StrategySettings, ...] = ()


class AngelSettings(Section, frozen=True):
    """Credentials of Angel One, and what to subscribe to there (`exchange_type:token`)."""

    api_key: str = ""
    client_code: str = ""
    password: str = ""
    totp_secret: str = ""
    subscribe_tokens: tuple[str, ...] = ("1:99926000",)


class Settings(Section, frozen=True):
    """All settings of one process."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    feed: FeedSettings = FeedSettings()
    trading: TradingSettings = TradingSettings()
    angel: AngelSettings = AngelSettings()


#: Environment variables with a name of their own; REDIS_ADDR, `host:port` in one, is the only other.
NAMES = {
    "ANGEL_API_KEY": "angel.api_key",
    "ANGEL_CLIENT_CODE": "angel.client_code",
    "ANGEL_PASSWORD": "angel.password",
    "ANGEL_TOTP_SECRET": "angel.totp_secret",
    "SUBSCRIBE_TOKENS": "angel.subscribe_tokens",
    "REDIS_HOST": "redis.host",
    "REDIS_PORT": "redis.port",
    "DB_HOST": "database.host",
    "DB_PORT": "database.port",
    "DB_USER": "database.user",
    "DB_PASSWORD": "database.password",
    "DB_NAME": "database.name",
    "SQLITE_PATH": "database.sqlite_path",
    "METRICS_ADDR": "metrics.addr",
}
PREFIX = "OPENBELL_"
#: Variables that are ours and no settings: the file itself, the compiler's, and the ports that the compose file maps.
NO_SETTINGS = {f"{PREFIX}{name}" for name in ("CONFIG", "CACHE", "INTERPRETED", "PORT", "METRICS_PORT")}
DEFAULT_FILE = "configs/config.yaml"


def load_settings(
    file: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str | Path = ".",
) -> Settings:
    """The settings of a process started in `folder`; `arguments` maps paths such as `server.port` to values, None meaning not given.

    Raises ConfigError, with the source, the key and the value.
    """
    variables = os.environ if environment is None else environment
    wanted = file or variables.get(f"{PREFIX}CONFIG")
    path = Path(folder, wanted or DEFAULT_FILE)
    given = Given()
    if wanted or path.is_file():
        given.take_nested(_read_yaml(path), "", str(wanted or DEFAULT_FILE), Settings)
    given.take_variables(_read_dotenv(Path(folder, ".env")), ".env", strict=True)
    given.take_variables(variables, "the environment", strict=False)
    for key, value in (arguments or {}).items():
        if value is not None:
            given.take(key, value, f"argument {key}")
    built: Settings = given.build(Settings, "")
    return built


def setting_paths(kind: Any = Settings, prefix: str = "") -> list[str]:
    """Every setting as a path, such as `server.port`."""
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        found += setting_paths(hint, f"{prefix}{name}.") if _is_section(hint) else [f"{prefix}{name}"]
    return found


class Given:
    """Raw values by path, each with the source that named it last."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Any, str]] = {}

    def take(self, path: str, value: Any, source: str) -> None:
        """One value for one path."""
        if path not in setting_paths():
            raise ConfigError(f"{source}: there is no setting '{path}'", do=suggest(path, setting_paths()))
        self.values[path] = (value, source)

    def take_nested(self, values: Any, path: str, source: str, kind: Any) -> None:
        """A tree of values, as YAML gives it; every key has to be a field of `kind`."""
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: {path or 'the file'} is {values!r}", "keys and values")
        hints = get_type_hints(kind, include_extras=True)
        for key, value in values.items():
            where = f"{path}.{key}".lstrip(".")
            if key not in hints:
                raise ConfigError(f"{source}: unknown key '{where}'", do=suggest(str(key), hints))
            if _is_section(hints[key]):
                self.take_nested({} if value is None else value, where, source, hints[key])
            else:
                if where == "trading.strategies":
                    for index, item in enumerate(value if isinstance(value, list) else []):
                        Given().take_nested(item, f"{where}[{index}]", source, StrategySettings)
                self.values[where] = (value, source)

    def take_variables(self, variables: Mapping[str, str], source: str, strict: bool) -> None:
        """Environment variables; `strict` also refuses the ones that are not ours."""
        if address := variables.get("REDIS_ADDR"):
            host, _, port = address.rpartition(":")
            self.take("redis.host", host, f"REDIS_ADDR in {source}")
            self.take("redis.port", port, f"REDIS_ADDR in {source}")
        for name, value in variables.items():
            if name in NAMES:
                self.take(NAMES[name], value, f"{name} in {source}")
            elif name.startswith(PREFIX) and name not in NO_SETTINGS:
                self.take(name.removeprefix(PREFIX).lower().replace("__", "."), value, f"{name} in {source}")
            elif strict and name not in NO_SETTINGS and name != "REDIS_ADDR":
                raise ConfigError(f"{source}: unknown key '{name}'", do=suggest(name, [*NAMES, "REDIS_ADDR"]))

    def build(self, kind: Any, prefix: str) -> Any:
        """The settings, each value checked against the type of its field."""
        values = {}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            path = f"{prefix}{name}"
            if _is_section(hint):
                values[name] = self.build(hint, f"{path}.")
            elif path in self.values:
                values[name] = _convert(*self.values[path], path, hint)
        return kind(**values)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)


def _convert(value: Any, source: str, path: str, hint: Any) -> Any:
    if isinstance(value, str) and hint == tuple[str, ...]:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int | float) and not isinstance(value, bool) and path == "feed.speed":
        value = str(value)
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        where = path + place.rstrip("`")
        if place:
            raise ConfigError(f"{source}: {where}: {problem[0].lower()}{problem[1:].replace('`', '')}") from None
        shown = "***" if path.rpartition(".")[2] in SECRETS else repr(value)
        raise ConfigError(f"{source}: {where} is {shown}", _expected(hint)) from None


def _expected(hint: Any) -> str:
    """What a field takes, in words."""
    for extra in getattr(hint, "__metadata__", ()):
        return str(extra.description)
    if choices := [str(choice) for choice in get_args(hint) if isinstance(choice, str)]:
        return f"one of {', '.join(choices)}"
    return {int: "a whole number", bool: "true or false", str: "text"}.get(hint, "a list")


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"settings file {path} does not exist", "a YAML file", f"unset {PREFIX}CONFIG or name another") from None
    except OSError as error:
        raise StorageError(f"settings file {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not YAML: {' '.join(str(error).split())}") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f".env, line {number}: {text!r}", "NAME=value")
        quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
        values[name] = value[1:-1] if quoted else value.partition(" #")[0].rstrip()
    return values
