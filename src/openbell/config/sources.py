"""Settings: read once at the start, then frozen.

    arguments  >  environment  >  .env  >  YAML file  >  defaults

A setting is a path such as `server.port`. In YAML it is nested, in the environment it is `OPENBELL_SERVER__PORT`, or one of the names
that have a meaning of their own (`SQLITE_PATH`, `REDIS_ADDR`, ...). An unknown key is an error that offers the near names, and every
error says where the value came from.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from openbell.config.settings import SECRETS, USER_ACCOUNTS, Section, Settings, StrategySettings
from openbell.errors import ConfigError, StorageError, suggest

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
#: Variables that are ours and no settings: the file itself, the compiler's, those of `openbell.Client`, what the compose file maps, what
#: scripts/services.sh reads.
_OTHERS = "CONFIG LAUNCHER CACHE INTERPRETED API_KEY API_URL PORT METRICS_PORT GRPC_PORT SERVICES_DIR SERVICES_PORT_OFFSET"
NO_SETTINGS = {f"{PREFIX}{name}" for name in _OTHERS.split()}
DEFAULT_FILE = "configs/config.yaml"
_KINDS: dict[type, str] = {str: "text", list: "a list"}


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
    if built.server.sign_in and "trading.user_accounts" not in given.values:
        trading = msgspec.structs.replace(built.trading, user_accounts=USER_ACCOUNTS)
        built = msgspec.structs.replace(built, trading=trading)
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
            # Not the value itself: a file that is no YAML, or a key without a blank behind its colon, may hold a password.
            shown = _KINDS.get(type(values)) or repr(values)
            raise ConfigError(f"{source}: {path or 'the file'} is {shown}", "keys and values")
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
        # An address with a password in it is refused, and must not be shown either.
        shown = "***" if path.rpartition(".")[2] in SECRETS or "@" in str(value) else repr(value)
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
    except yaml.MarkedYAMLError as error:
        # Without the line itself, and the words it quotes: it may be that of a password.
        why, mark = re.sub(r"'[^']{2,}'", "'…'", error.problem or "it cannot be read"), error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise ConfigError(f"settings file {path} is not YAML: {place}: {why}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not YAML: {type(error).__name__}", "text in UTF-8") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StorageError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not text in UTF-8", "NAME=value on each line") from None
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f".env, line {number} has no =", "NAME=value")
        quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
        values[name] = value[1:-1] if quoted else value.partition(" #")[0].rstrip()
    return values
