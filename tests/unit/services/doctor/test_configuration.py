"""The doctor on the configuration: what cannot be read, what is misspelt, what contradicts, what others can read."""

import pytest

from openbell.config import (
    BusSettings,
    DatabaseSettings,
    KafkaSettings,
    MetricsSettings,
    RabbitSettings,
    RedisSettings,
    ServerSettings,
    Settings,
)
from openbell.services.doctor import configuration
from tests.unit.services.doctor import levels


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that openbell is started in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_configuration_in_order(folder):
    """One line that says where the settings come from, by names only."""
    (folder / "configs").mkdir()
    (folder / "configs/config.yaml").write_text("server: {port: 8090}")
    settings, (found,) = configuration.read(None, {"DB_PASSWORD": "canary", "HOME": "/root"})
    assert settings is not None
    assert settings.server.port == 8090
    assert (found.level, found.found) == ("ok", "from configs/config.yaml, DB_PASSWORD, defaults")


def test_a_wrong_key_in_the_file(folder):
    """The key, near names, and the line that opens the file."""
    (folder / "mine.yaml").write_text("server: {prot: 8090}")
    settings, (found,) = configuration.read(folder / "mine.yaml", {})
    assert settings is None
    assert found.level == "problem"
    assert "unknown key 'server.prot'" in found.found
    assert found.do == (f"${{EDITOR:-vi}} {folder}/mine.yaml    # did you mean 'port'?",)


def test_a_file_that_is_not_there(folder):
    """Named by OPENBELL_CONFIG."""
    settings, (found,) = configuration.read(None, {"OPENBELL_CONFIG": "gone.yaml"})
    assert settings is None
    assert "gone.yaml does not exist" in found.found


def test_every_wrong_variable_is_named(folder):
    """Unknown ones and impossible values, each with the line that takes it away, and the mistake in .env besides."""
    (folder / ".env").write_text("REDIS_HOTS=cache")
    environment = {"OPENBELL_SERVER__PROT": "1", "DB_PORT": "many", "OPENBELL_CACHE": "/tmp"}
    settings, found = configuration.read(None, environment)
    assert settings is None
    assert [finding.check for finding in found] == ["OPENBELL_SERVER__PROT", "DB_PORT", "settings"]
    assert found[0].do[0].startswith("unset OPENBELL_SERVER__PROT    # did you mean 'server.port'")
    assert "database.port is 'many'" in found[1].found
    assert found[2].do[0].startswith("${EDITOR:-vi} .env")


def test_variables_that_only_look_like_ours(folder):
    """They would be passed over in silence otherwise."""
    settings, found = configuration.read(
        None, {"DB_PASSWRD": "canary", "openbell_server__port": "1", "REDIS_URL": "redis://x", "HOME": "/"}
    )
    assert settings is not None
    assert [(finding.check, finding.level, finding.expected) for finding in found[1:]] == [
        ("DB_PASSWRD", "warning", "DB_PASSWORD"),
        ("openbell_server__port", "warning", "OPENBELL_SERVER__PORT"),
    ]
    assert "canary" not in repr(found)


KAFKA = BusSettings(market="kafka", orders="rabbitmq", control="redis")


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        (Settings(), "ok", "nothing contradicts"),
        (Settings(bus=KAFKA, database=DatabaseSettings(engine="postgresql")), "ok", "nothing contradicts"),
        (Settings(bus=KAFKA), "warning", "database.engine is sqlite"),
        (
            Settings(bus=BusSettings(market="kafka", orders="rabbitmq"), database=DatabaseSettings(engine="postgresql")),
            "warning",
            "bus.control is inprocess",
        ),
        (Settings(metrics=MetricsSettings(addr=":8081")), "problem", "both 8081"),
        (Settings(server=ServerSettings(host="0.0.0.0")), "problem", "server.host is '0.0.0.0'"),
        (Settings(metrics=MetricsSettings(addr="0.0.0.0:9090")), "problem", "metrics.addr is '0.0.0.0'"),
        (
            Settings(bus=KAFKA, database=DatabaseSettings(engine="postgresql"), kafka=KafkaSettings(user="openbell")),
            "problem",
            "there is a user, and no password",
        ),
        (
            Settings(bus=KAFKA, database=DatabaseSettings(engine="postgresql"), rabbitmq=RabbitSettings(host="mq", tls=True)),
            "warning",
            "guest on mq",
        ),
        (
            Settings(bus=KAFKA, database=DatabaseSettings(engine="postgresql"), redis=RedisSettings(host="cache", password="canary")),
            "warning",
            "the password for cache goes over the network as it is",
        ),
    ],
)
def test_settings_that_contradict_each_other(settings, level, words):
    """Each with a line to type; no secret in any."""
    (found,) = configuration.together(settings)
    assert (found.level, "canary" in repr(found)) == (level, False)
    assert words in found.found
    assert (level == "ok") == (not found.do)


def test_a_file_of_secrets_that_others_may_read(folder):
    """`chmod 600`; a file without secrets may be read by anybody."""
    (folder / ".env").write_text("OPENBELL_LOGGING__LEVEL=DEBUG\n")
    assert list(configuration.secret_files(folder)) == []
    (folder / ".env").write_text("DB_PASSWORD=canary\n")
    (folder / ".env").chmod(0o644)
    (found,) = configuration.secret_files(folder)
    assert (found.level, found.do) == ("warning", ("chmod 600 .env",))
    (folder / ".env").chmod(0o600)
    assert levels(configuration.secret_files(folder)) == []
