"""Errors as statuses of gRPC, with the same words as everywhere: what was found, what was expected, what to do; never what broke inside.

The name of the error goes along (`openbell-error`), so that who calls for others can raise the same one.
"""

import grpc
import grpc.aio
import msgspec
import structlog

from openbell import errors
from openbell.errors import (
    BusError,
    ForbiddenError,
    NotSignedInError,
    OpenbellError,
    StorageError,
    ThrottledError,
    UnknownNameError,
    UsageError,
)

#: Metadata of an answer: the error by its name, and when (seconds) to try again.
ERROR_NAME, RETRY_AFTER = "openbell-error", "retry-after"

_INSIDE = "Something went wrong inside. The log of the platform says what, under the id of this request."
_STORE = "A store of the platform does not answer. Try again; the log says which, under the id of this request."
#: The first that fits.
STATUSES: dict[type[OpenbellError], grpc.StatusCode] = {
    UnknownNameError: grpc.StatusCode.NOT_FOUND,
    UsageError: grpc.StatusCode.INVALID_ARGUMENT,
    NotSignedInError: grpc.StatusCode.UNAUTHENTICATED,
    ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    ThrottledError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StorageError: grpc.StatusCode.UNAVAILABLE,
    BusError: grpc.StatusCode.UNAVAILABLE,
}

log = structlog.get_logger("rpc")

Metadata = tuple[tuple[str, str], ...]


def status_of(error: Exception) -> tuple[grpc.StatusCode, str, Metadata]:
    """(Status, text, metadata) of an error. One of the inside is logged, and says nothing about the inside."""
    if isinstance(error, msgspec.ValidationError):
        error = UsageError(str(error))
    code = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), None)
    if code is None:
        log.error("call failed", error=type(error).__name__, exc_info=error)
        return grpc.StatusCode.INTERNAL, _INSIDE, ()
    metadata: Metadata = ((ERROR_NAME, type(error).__name__),)
    if isinstance(error, StorageError):  # its message names files and servers
        log.warning("a store refused", error=str(error))
        return code, _STORE, metadata
    if isinstance(error, ThrottledError):
        metadata += ((RETRY_AFTER, str(error.retry_after_s)),)
    return code, str(error), metadata


def error_of(error: grpc.aio.AioRpcError) -> OpenbellError | None:
    """The error that a service of ours answered with; None when it was no answer of ours."""
    found = {str(key): str(value) for key, value in error.trailing_metadata() or ()}
    kind = getattr(errors, found.get(ERROR_NAME, ""), None)
    if not (isinstance(kind, type) and issubclass(kind, OpenbellError)):
        return None
    text = error.details() or error.code().name
    if issubclass(kind, ThrottledError):
        after = found.get(RETRY_AFTER, "1")
        return kind(text, retry_after_s=int(after) if after.isdigit() else 1)
    return kind(text)
