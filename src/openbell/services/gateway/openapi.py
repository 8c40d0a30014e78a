"""The OpenAPI document: what the routes take and answer, from the same records they answer with, and what each of them needs."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response

from openbell.services import views
from openbell.services.gateway import account_records, alert_records, notification_records
from openbell.services.gateway.access import COOKIE, PLAIN_COOKIE, Needs, needed_by, needs, routes_of
from openbell.services.gateway.bodies import tagged

NOTHING = type(None)
_SHOWN = [
    item
    for module in (views, account_records, alert_records, notification_records)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, msgspec.Struct) and item is not msgspec.Struct
]
_REFERENCE = "#/components/schemas/{name}"
_ERRORS = {
    400: "The request makes no sense",
    401: "Nobody is signed in",
    403: "Who asks may not have it, or has to prove again who it is",
    404: "There is no such thing",
    413: "The body is too large, or does not say how large it is",
    422: "A value is not what it has to be",
    429: "Too many requests; Retry-After says when to try again",
    503: "A part of the platform is not there",
}
#: What any route may answer.
_ANYWHERE = (400, 401, 403, 413, 429, 503)
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `obk_...`"},
    "session": {
        "type": "apiKey", "in": "cookie", "name": COOKIE,
        "description": f"A session; `{PLAIN_COOKIE}` over HTTP on the loopback. Changes need the header X-Requested-With too.",
    },
}  # fmt: skip
#: Headers of answers: what each is, and its schema.
_HEADERS = {
    "X-Request-ID": ("The id of the request, in every line of the log about it; that of the request's own header where it has one", {}),
    "ETag": ("The tag of this answer, for If-None-Match", {}),
    "Link": ('Where the next page is: `<...>; rel="next"`. It is not there at the end', {}),
    "Retry-After": ("Seconds until it may be tried again", {"type": "integer"}),
    "WWW-Authenticate": ("How to say who asks", {}),
    "RateLimit-Limit": ("Requests that are allowed in a window, where they are counted", {"type": "integer"}),
    "RateLimit-Remaining": ("Requests that are left in this window", {"type": "integer"}),
    "RateLimit-Reset": ("Seconds until the next window", {"type": "integer"}),
}
_RATES = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_ALWAYS_THERE = ("X-Request-ID", "ETag", "Retry-After", "WWW-Authenticate")
_IF_NONE_MATCH = {
    "name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "Tags of answers that the client has; 304 when it is still one of them",
}  # fmt: skip
_ABOUT = """Prices, candles, analytics, orders, portfolios, alerts and notifications of one platform.

*Who asks* is said by an API key, or by the cookie of a session. *Errors* are problem details (RFC 9457): `detail` says what was found, what
was expected and what to do. *Every answer* has the id of its request. *Lists* come in pages, the header Link has the next. *Repeating* a
POST with the same Idempotency-Key, where there is one, does nothing a second time. The live stream is the WebSocket `/ws`.
"""


def answers(kind: type, *errors: int, ok: int = 200, ok_too: int = 0, tagged: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the record it answers with (as `ok`, and as `ok_too` if given), and errors of its own.

    `tagged`: it has an ETag, and is 304 for who has it already.
    """
    found: dict[int | str, dict[str, Any]] = {ok: {"description": "Done"} if kind is NOTHING else _content("The answer", kind)}
    if tagged:
        found[304] = {"description": "It is what the client has"}
    if ok_too:
        found[ok_too] = _content(_ERRORS[ok_too], kind)
    for status in errors:
        found[status] = _problem(status)
    return found


def takes(kind: type) -> dict[str, Any]:
    """The `openapi_extra` of a route with a JSON body."""
    return {"requestBody": {"required": True, "content": _content("", kind)["content"]}}


def install(app: FastAPI) -> None:
    """Put the schemas of the records, and what each route needs, into the document; and a route that shows it."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _, schemas = msgspec.json.schema_components(_SHOWN, ref_template=_REFERENCE)
            components = document.setdefault("components", {})
            components["schemas"] = _plain(schemas)
            components["securitySchemes"] = _SCHEMES
            components["headers"] = {name: _header(name) for name in _HEADERS}
            document["info"]["description"] = _ABOUT
            for route in routes_of(app.routes):
                for method in getattr(route, "methods", ()) or ():
                    if operation := document["paths"].get(route.path, {}).get(method.lower()):
                        _complete(operation, needed_by(route))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False, dependencies=[needs(None)])
    async def document(request: Request) -> Response:
        return tagged(request, msgspec.json.encode(app.openapi()))


def _complete(operation: dict[str, Any], needed: Needs | None) -> None:
    """What FastAPI does not know: who may ask, and what any route may answer. Its own form of validation errors is not ours."""
    if needed is not None and needed.permission is not None:
        operation["security"] = [{"session": []}, {"key": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the permission `{needed.permission}`.".strip()
    else:
        operation["security"] = []
    responses = operation["responses"]
    if "422" in responses:
        responses["422"] = _problem(422)
    for status in _ANYWHERE:
        responses.setdefault(str(status), _problem(status))
    parameters = operation.get("parameters", [])
    is_paged = "after" in {parameter["name"] for parameter in parameters}
    if "304" in responses:
        operation["parameters"] = [*parameters, _IF_NONE_MATCH]
    for status, response in responses.items():
        names = ["X-Request-ID", *_RATES]
        names += ["ETag"] if status == "304" or (status == "200" and "304" in responses) else []
        names += ["Link"] if status == "200" and is_paged else []
        names += {"401": ["WWW-Authenticate"], "429": ["Retry-After"]}.get(status, [])
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _plain(schema: Any) -> Any:
    """A schema without `prefixItems`, which many readers of OpenAPI do not know: what is in a tuple is one of its kinds."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(value) for name, value in schema.items() if name != "prefixItems"}
    if "prefixItems" in schema:
        found["items"] = {"anyOf": _plain(schema["prefixItems"])}
    return found


def _header(name: str) -> dict[str, Any]:
    about, schema = _HEADERS[name]
    return {"description": about, "required": name in _ALWAYS_THERE, "schema": {"type": "string", **schema}}


def _problem(status: int) -> dict[str, Any]:
    return _content(_ERRORS[status], views.Problem, "application/problem+json")


def _content(description: str, kind: type, media_type: str = "application/json") -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}
    return {"description": description, "content": content}
