"""The guide to the API: every route and every method of the client is in it, and nothing that is not there."""

import re

from openbell.client import Client
from tests.document import document
from tests.tidy.source import ROOT

GUIDE = (ROOT / "docs/guides/api.md").read_text(encoding="utf-8")
TABLES = [line for line in GUIDE.splitlines() if line.startswith("| `")]


def test_every_route_is_in_the_guide():
    """With its method; and no route that is gone."""
    routes = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    told = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?\s]*)", "\n".join(TABLES)))
    assert told == routes


def test_every_method_of_the_client_is_in_the_guide():
    """Beside the route that it asks."""
    methods = {name for name in dir(Client) if not name.startswith("_") and callable(getattr(Client, name))}
    told = {name for line in TABLES for name in re.findall(r"`([a-z_]+)`", line.split("|")[3])}
    assert told - {"application", "detail"} == methods - {"close", "stream"}
    assert "client.stream(" in GUIDE
