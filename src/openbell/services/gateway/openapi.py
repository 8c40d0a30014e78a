"""The OpenAPI document: what the routes take and answer, from the same records they answer with, and what each of them needs."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response

from openbell.services import views
from openbell.services.gateway import account_records, alert_records
from openbell.services.gateway.access import COOKIE, PLAIN_COOKIE, Needs, needed_by, needs, routes_of
from openbell.services.gateway.bodies import tagged

NOTHING = type(None)
_SHOWN = [
    item
    for module in (views, account_records, alert_records)
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


def answers(kind: type, *errors: int, ok: int = 200, ok_too: int = 0) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the record it answers with (as `ok`, and as `ok_too` if given), and errors of its own."""
    found: dict[int | str, dict[str, Any]] = {ok: {"description": "Done"} if kind is NOTHING else _content("The answer", kind)}
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


def _problem(status: int) -> dict[str, Any]:
    return _content(_ERRORS[status], views.Problem, "application/problem+json")


def _content(description: str, kind: type, media_type: str = "application/json") -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}
    return {"description": description, "content": content}
