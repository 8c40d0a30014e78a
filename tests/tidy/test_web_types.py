"""The types of the page are those of the gateway's document."""

import hashlib
import re

from tests.document import document, printed
from tests.tidy.source import ROOT

FIRST = re.compile(r"// Written by `make web-types`\. Document ([0-9a-f]{64}), types ([0-9a-f]{64})\.")


def test_types_are_those_of_the_document():
    """What the page believes of the API is what the API says now, and nobody has changed it by hand."""
    first, types = (ROOT / "frontend/lib/openapi.ts").read_text().split("\n", 1)
    found = FIRST.fullmatch(first)
    assert found is not None, "run `make web-types`"
    assert found[1] == _hash(printed(document())), "the OpenAPI document has changed since: run `make web-types`"
    assert found[2] == _hash(types), "frontend/lib/openapi.ts was changed by hand: run `make web-types`"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
