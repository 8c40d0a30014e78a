"""Errors as problem details (RFC 9457): what was found, what was expected, what to do; never what broke inside."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from openbell.errors import BusError, OpenbellError, StorageError, UnknownNameError, UsageError
from openbell.services.views import Problem

log = structlog.get_logger("gateway")


def problem_response(status: int, detail: str) -> Response:
    """An error as the client gets it."""
    title = HTTPStatus(status).phrase
    body = msgspec.json.encode(Problem("about:blank", title, status, detail))
    return Response(body, status, media_type="application/problem+json")


def status_of(error: OpenbellError) -> int:
    """The HTTP status of an error of ours."""
    if isinstance(error, UnknownNameError):
        return 404
    if isinstance(error, UsageError):
        return 422
    if isinstance(error, StorageError | BusError):
        return 503
    return 500


async def _on_openbell(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OpenbellError)
    return problem_response(status_of(error), str(error))


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _on_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
    return problem_response(422, found)


async def _on_decoding(_request: Request, error: Exception) -> Response:
    """A body that is not JSON is a bad request; one of another shape cannot be processed."""
    status = 422 if isinstance(error, msgspec.ValidationError) else 400
    return problem_response(status, str(error))


async def _on_anything(request: Request, error: Exception) -> Response:
    log.error("request failed", method=request.method, path=request.url.path, error=type(error).__name__, exc_info=error)
    return problem_response(500, "Something went wrong inside. The log of the platform says what.")


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        OpenbellError: _on_openbell,
        HTTPException: _on_http,
        RequestValidationError: _on_validation,
        msgspec.DecodeError: _on_decoding,
        Exception: _on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
