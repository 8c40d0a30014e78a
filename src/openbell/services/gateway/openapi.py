"""The OpenAPI document: what the routes answer, from the same records they answer with."""

from typing import Any

import msgspec
from fastapi import FastAPI, Response

from openbell.services import views

_SHOWN = [item for item in vars(views).values() if isinstance(item, type) and issubclass(item, msgspec.Struct)]
_REFERENCE = "#/components/schemas/{name}"
_ERRORS = {
    400: "The request makes no sense",
    404: "There is no such thing",
    422: "A value is not what it has to be",
    503: "A part of the platform is not there",
}


def json_response(value: Any, status: int = 200) -> Response:
    """A record as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def answers(kind: type, *errors: int, ok: int = 200, ok_too: int = 0) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the record it answers with (as `ok`, and as `ok_too` if given), and the errors."""
    found: dict[int | str, dict[str, Any]] = {ok: _content("The answer", "application/json", kind)}
    if ok_too:
        found[ok_too] = _content(_ERRORS[ok_too], "application/json", kind)
    for status in errors:
        found[status] = _content(_ERRORS[status], "application/problem+json", views.Problem)
    return found


def takes(kind: type) -> dict[str, Any]:
    """The `openapi_extra` of a route with a JSON body."""
    return {"requestBody": {"required": True, **_content("", "application/json", kind)}}


def install(app: FastAPI) -> None:
    """Put the schemas of the records into the document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _, schemas = msgspec.json.schema_components(_SHOWN, ref_template=_REFERENCE)
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            for path in document["paths"].values():
                for operation in path.values():
                    _use_problem(operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _use_problem(operation: dict[str, Any]) -> None:
    """FastAPI describes validation errors in its own form; ours are problems like all others."""
    if "422" in operation["responses"]:
        operation["responses"]["422"] = _content(_ERRORS[422], "application/problem+json", views.Problem)


def _content(description: str, media_type: str, kind: type) -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}
    return {"description": description, "content": content} if description else {"content": content}
