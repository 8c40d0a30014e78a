"""What comes in and what goes out: bodies as records, tags by which a client sees that it has an answer already, and pages of lists."""

from hashlib import blake2b
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Request, Response

from openbell.errors import UsageError

T = TypeVar("T")


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as a record. UsageError when it is not JSON by its name; msgspec.DecodeError when it is none, or of another shape."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UsageError("the body is not application/json", "a JSON object")
    return msgspec.json.decode(await request.body(), type=kind)


def json_response(value: Any, status: int = 200) -> Response:
    """A record as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def tagged(request: Request, body: bytes, is_kept: bool = True) -> Response:
    """JSON with its tag, or 304 for a client that has it. Its own store may keep it, and has to ask each time.

    Without `is_kept` no store may: programs that ask again and again have the tag all the same, and browsers forget whose page it was.
    """
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache" if is_kept else "no-store"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def tagged_record(request: Request, value: Any) -> Response:
    """A record of somebody's as JSON with its tag."""
    return tagged(request, msgspec.json.encode(value), is_kept=False)


def with_next(response: Response, request: Request, after: str | None) -> Response:
    """Say where the next page of a list is, when there is one."""
    if after is not None:
        query = {name: value for name, value in request.query_params.items() if name != "after"}
        response.headers["Link"] = f'<{request.url.path}?{urlencode({**query, "after": after})}>; rel="next"'
    return response
