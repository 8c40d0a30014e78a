"""What deploy/compose.yaml promises: it is a compose file, nothing is open to the network, no secret is in it, the names are ours."""

import re
import subprocess
import sys

import pytest
import yaml

from openbell.config import load_settings
from tests.tidy.source import ROOT

FILE = ROOT / "deploy/compose.yaml"
PROFILES = {
    "embedded": {"openbell"},
    "servers": {"postgres", "redis", "rabbitmq", "kafka"},
    "services": {"ingest", "processor", "trader", "orders", "portfolio", "history", "analytics", "alerts", "gateway"}
    | {"postgres", "redis", "rabbitmq", "kafka"},
}
OURS = {"openbell"} | PROFILES["services"] - PROFILES["servers"]
SERVICES = yaml.safe_load(FILE.read_text())["services"]


def variables(text):
    """NAME=value lines, without comments."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_it_is_a_compose_file():
    """By the schema that docker compose itself checks with."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles(profile):
    """What starts with each; nothing starts with every profile."""
    assert {name for name, service in SERVICES.items() if profile in service["profiles"]} == PROFILES[profile]


def test_one_container_is_the_default():
    """Without a word about profiles the platform runs embedded."""
    assert variables((ROOT / "deploy/.env").read_text()) == {"COMPOSE_PROFILES": "embedded"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container(name):
    """Comes back by itself, says how it is, has no rights, and listens on this machine only."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert name == "openbell" or service["healthcheck"]["test"], "openbell's is in the Dockerfile"
    assert re.search(r":[\w.]+$", service["image"]), "an image without a tag changes by itself"
    assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers(name):
    """Write only to their volume; a service runs its own command, once the servers are healthy."""
    service = SERVICES[name]
    assert service["read_only"] is True
    if name != "openbell":
        assert service["command"] == ["serve", name]
        assert service["depends_on"] == {server: {"condition": "service_healthy"} for server in PROFILES["servers"]}


def test_no_secret():
    """Passwords come from a file that git does not know."""
    named = {variable for service in SERVICES.values() for variable in service.get("environment", {})}
    assert [variable for variable in named if re.search("PASS|SECRET|KEY|AUTH", variable)] == []
    assert "/deploy/services.env" in (ROOT / ".gitignore").read_text().splitlines()
    example = variables((ROOT / "deploy/services.env.example").read_text())
    assert [name for name, value in example.items() if value and not value.startswith("${")] == []


def test_the_services_settings_are_ours():
    """The environment of a service is understood, and names the server beside it."""
    example = variables((ROOT / "deploy/services.env.example").read_text())
    given = {name: value or "a secret" for name, value in example.items()}
    settings = load_settings(environment={**given, **SERVICES["trader"]["environment"]}, folder=ROOT / "tests")
    assert (settings.bus.market, settings.bus.orders, settings.bus.control) == ("kafka", "rabbitmq", "redis")
    assert settings.database.engine == "postgresql"
    assert {settings.database.host, settings.redis.host, settings.rabbitmq.host, settings.kafka.servers.partition(":")[0]} == PROFILES[
        "servers"
    ]
    assert {settings.database.password, settings.redis.password, settings.rabbitmq.password} == {"a secret"}


def test_the_same_kafka_everywhere():
    """The image is of the version that the tests run against."""
    tested = re.search(r"<kafka.version>(.+)</kafka.version>", (ROOT / "scripts/servers/kafka.pom.xml").read_text())
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"
