"""The OpenAPI document of the gateway, without a platform: `python -m tests.document` prints it. The types of the page are made from it."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.asgi import desk


def document() -> dict[str, Any]:
    """The document as it is now, without the version of the package."""

    async def ask(folder: Path) -> Any:
        async with desk(folder, None) as gateway, gateway.client() as client:
            return (await client.get("/openapi.json")).json()

    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = asyncio.run(ask(Path(folder)))
    found["info"]["version"] = ""
    return found


def printed(found: dict[str, Any]) -> str:
    """A document as text, the same for the same."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(printed(document()))
