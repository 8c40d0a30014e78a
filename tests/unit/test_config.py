"""Settings: where they come from, what wins, and what a mistake is told."""

import pytest

from openbell.config import load_settings, setting_paths
from openbell.errors import ConfigError


def load(tmp_path, yaml="", dotenv="", arguments=None, **environment):
    if yaml:
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/config.yaml").write_text(yaml)
    if dotenv:
        (tmp_path / ".env").write_text(dotenv)
    return load_settings(arguments=arguments, environment=environment, folder=tmp_path)


def test_defaults(tmp_path):
    """Without anything: loopback, port 8081, a bus of 1000, candles in data/candles.db, metrics on :9090."""
    settings = load(tmp_path)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8081)
    assert settings.trading.event_bus_buffer == 1000
    assert settings.database.sqlite_path == "data/candles.db"
    assert settings.metrics.addr == ":9090"
    assert (settings.redis.host, settings.redis.port) == ("localhost", 6379)
    assert settings.angel.subscribe_tokens == ("1:99926000",)


def test_the_later_source_wins(tmp_path):
    """Arguments over environment over .env over the file over the defaults."""
    port = "server: {port: 1}"
    assert load(tmp_path, port).server.port == 1
    (tmp_path / ".env").write_text("OPENBELL_SERVER__PORT=2\n")
    assert load_settings(environment={}, folder=tmp_path).server.port == 2
    environment = {"OPENBELL_SERVER__PORT": "3"}
    assert load_settings(environment=environment, folder=tmp_path).server.port == 3
    assert load_settings(arguments={"server.port": 4}, environment=environment, folder=tmp_path).server.port == 4
    assert load_settings(arguments={"server.port": None}, environment=environment, folder=tmp_path).server.port == 3


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("ANGEL_API_KEY", "k", "angel.api_key", "k"),
        ("SUBSCRIBE_TOKENS", "1:99926000, 2:5", "angel.subscribe_tokens", ("1:99926000", "2:5")),
        ("REDIS_ADDR", "cache:6380", "redis.port", 6380),
        ("REDIS_HOST", "cache", "redis.host", "cache"),
        ("DB_PORT", "6000", "database.port", 6000),
        ("SQLITE_PATH", "x.db", "database.sqlite_path", "x.db"),
        ("METRICS_ADDR", "", "metrics.addr", ""),
        ("OPENBELL_LOGGING__LEVEL", "DEBUG", "logging.level", "DEBUG"),
        ("OPENBELL_SERVER__PUBLIC", "true", "server.public", True),
        ("OPENBELL_TRADING__TIMEFRAMES", "1s,1m", "trading.timeframes", ("1s", "1m")),
    ],
)
def test_names_of_the_environment(tmp_path, name, value, path, expected):
    """Each variable reaches its setting, as the type of the setting."""
    section, key = path.split(".")
    assert getattr(getattr(load(tmp_path, **{name: value}), section), key) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"OPENBELL_SERVER__PRT": "1"}, ["OPENBELL_SERVER__PRT", "server.port"]),
        ({"OPENBELL_SERVER__PORT": "http"}, ["OPENBELL_SERVER__PORT", "server.port", "'http'", "0 to 65535"]),
        ({"OPENBELL_LOGGING__LEVEL": "LOUD"}, ["logging.level", "'LOUD'", "DEBUG, INFO"]),
        ({"METRICS_ADDR": "nine"}, ["METRICS_ADDR", "metrics.addr", "host:port"]),
        ({"OPENBELL_FEED__SPEED": "fast"}, ["feed.speed", "max"]),
    ],
)
def test_a_mistake_in_the_environment(tmp_path, given, words):
    """The error names the variable, the setting, the value, and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **given)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("server: {prt: 1}", ["config.yaml", "server.prt", "'port'"]),
        ("server: 5", ["config.yaml", "server is 5"]),
        ("trading: {strategies: [{id: a, sybols: [X]}]}", ["strategies[0].sybols", "symbols"]),
        ("trading: {strategies: [{symbols: [X]}]}", ["strategies[0]", "id"]),
        ("trading: {strategies: [{id: a, cash: -1}]}", ["strategies[0].cash"]),
        ("trading: {strategies: 5}", ["trading.strategies", "a list"]),
        ("a: [", ["not YAML"]),
        ("- 1", ["keys and values"]),
    ],
)
def test_a_mistake_in_the_file(tmp_path, yaml, words):
    """The error names the file, the key with its place in the list, and near names."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, yaml)
    for word in words:
        assert word in str(caught.value)


def test_a_mistake_in_the_dotenv(tmp_path):
    """In .env every key has to be known."""
    with pytest.raises(ConfigError, match=r"SQLITE_PTH.*SQLITE_PATH"):
        load(tmp_path, dotenv="SQLITE_PTH=x")


def test_dotenv_quotes_and_comments(tmp_path):
    """Quotes, comments, blank lines and `export` are what shells make of them."""
    settings = load(tmp_path, dotenv="# comment\n\nexport DB_HOST='db'\nDB_PASSWORD=\"a #b\"\nDB_NAME=n # note\n")
    assert (settings.database.host, settings.database.password, settings.database.name) == ("db", "a #b", "n")


def test_a_file_that_was_named_has_to_be_there(tmp_path):
    """OPENBELL_CONFIG of a missing file is an error; a missing default file is not."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml does not exist"):
        load(tmp_path, OPENBELL_CONFIG="nowhere.yaml")


def test_secrets_are_not_shown(tmp_path):
    """The text of the settings, and of an error about a secret, hides it."""
    settings = load(tmp_path, DB_PASSWORD="hunter2", ANGEL_TOTP_SECRET="JBSWY3DP")
    assert "hunter2" not in repr(settings)
    assert "JBSWY3DP" not in repr(settings)


def test_the_files_that_come_with_openbell_are_valid(root):
    """configs/config.yaml loads, and config.env.example names only what there is."""
    settings = load_settings(root / "configs/config.yaml", environment={})
    assert [strategy.id for strategy in settings.trading.strategies] == ["moving_avg_crossover", "rsi", "bollinger"]
    for line in (root / "config.env.example").read_text().splitlines():
        name, equals, value = line.lstrip("# ").partition("=")
        if equals and name.isupper() and " " not in name:
            load_settings(environment={name: value} if value else {}, folder="/")


def test_every_setting_has_a_path():
    """The paths that `OPENBELL_...` reaches."""
    assert {"server.port", "database.sqlite_path", "trading.event_bus_buffer", "feed.speed"} <= set(setting_paths())


@pytest.mark.parametrize(
    ("yaml", "dotenv", "environment"),
    [
        ("kafka:\n  password: 'canary-7f3a", "", {}),
        ("kafka:\n  password: *canary-7f3a", "", {}),
        ("kafka:\n  password: !canary-7f3a", "", {}),
        ("kafka:\n  password:canary-7f3a", "", {}),
        ("DB_PASSWORD=canary-7f3a", "", {}),
        ("", "DB_PASSWORD canary-7f3a", {}),
        ("", "canary-7f3a", {}),
        ("", "", {"REDIS_ADDR": "redis://:canary-7f3a@cache:6379"}),
        ("", "", {"DB_HOST": "postgresql://openbell:canary-7f3a@db/openbell"}),
        ("", "", {"OPENBELL_KAFKA__SERVERS": "openbell:canary-7f3a@kafka:9092"}),
        ("", "", {"OPENBELL_KAFKA__PASWORD": "canary-7f3a"}),
    ],
)
def test_a_mistake_beside_a_secret_does_not_show_it(tmp_path, yaml, dotenv, environment):
    """A line that cannot be read may be that of a password, and an address may have one in it: neither is quoted."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, yaml, dotenv, **environment)
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value)


def test_a_dotenv_that_is_no_text(tmp_path):
    """A mistake like any other."""
    (tmp_path / ".env").write_bytes(b"DB_PASSWORD=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env is not text in UTF-8"):
        load_settings(environment={}, folder=tmp_path)
