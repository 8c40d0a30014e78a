"""Errors as problem details (RFC 9457): what was found, what was expected, what to do; never what broke inside."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket

from openbell.errors import (
    BusError,
    CodeNeededError,
    ForbiddenError,
    NotSignedInError,
    OpenbellError,
    StepUpError,
    StorageError,
    ThrottledError,
    UnknownNameError,
    UsageError,
)
from openbell.services.views import Problem

#: What a client can do something about by itself: ask for the code of the second factor, or for the password again.
CODE_NEEDED, STEP_UP = "/problems/code-needed", "/problems/step-up"

_INSIDE = "Something went wrong inside. The log of the platform says what, under the id of this request."

Handler = Callable[[Request, Exception], Awaitable[Response]]

log = structlog.get_logger("gateway")


def problem_response(status: int, detail: str, kind: str = "about:blank") -> Response:
    """An error as the client gets it."""
    title = HTTPStatus(status).phrase
    body = msgspec.json.encode(Problem(kind, title, status, detail))
    return Response(body, status, media_type="application/problem+json")


def status_of(error: OpenbellError) -> int:
    """The HTTP status of an error of ours."""
    if isinstance(error, UnknownNameError):
        return 404
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)


_STATUSES: dict[type[OpenbellError], int] = {
    UsageError: 422,
    NotSignedInError: 401,
    ForbiddenError: 403,
    ThrottledError: 429,
    StorageError: 503,
    BusError: 503,
}


def response_to(error: OpenbellError) -> Response:
    """An error of ours as the client gets it. One of the inside says nothing about the inside."""
    status = status_of(error)
    if status == 500:
        log.error("request failed", error=type(error).__name__, exc_info=error)
        return problem_response(500, _INSIDE)
    if isinstance(error, StorageError):  # its message names files and servers
        log.warning("a store refused", error=str(error))
        return problem_response(
            503, "A store of the platform does not answer. Try again; the log says which, under the id of this request."
        )
    kind = CODE_NEEDED if isinstance(error, CodeNeededError) else STEP_UP if isinstance(error, StepUpError) else "about:blank"
    response = problem_response(status, str(error), kind)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="openbell"'
    if isinstance(error, ThrottledError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def _on_openbell(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OpenbellError)
    return response_to(error)


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


async def _on_anything(_request: Request, error: Exception) -> Response:
    return _answer_to_anything(error)


def _answer_to_anything(error: Exception) -> Response:
    log.error("request failed", error=type(error).__name__, exc_info=error)
    return problem_response(500, _INSIDE)


def answer_to(error: Exception) -> Response:
    """Whatever a handler raised as the client gets it."""
    return response_to(error) if isinstance(error, OpenbellError) else _answer_to_anything(error)


def _also_before_a_websocket(handler: Handler) -> Handler:
    """A WebSocket that is refused before it is one gets the same answer."""

    async def handle(connection: Request, error: Exception) -> Response:
        response = await handler(connection, error)
        if isinstance(connection, WebSocket):
            await connection.send_denial_response(response)
        return response

    return handle


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    handlers: dict[type[Exception], Handler] = {
        OpenbellError: _on_openbell,
        HTTPException: _on_http,
        RequestValidationError: _on_validation,
        msgspec.DecodeError: _on_decoding,
        Exception: _on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, _also_before_a_websocket(handler))
