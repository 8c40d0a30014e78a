"""What every call meets first: it is given an id and its caller, its time is bounded, and what came of it is told in one line.

The id comes from the client where it sends one (x-request-id), goes back with the answer, and is in every line of the log that the call
causes. Methods are logged, messages are not.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from openbell.errors import ThrottledError, UsageError
from openbell.services.accounts.callers import Caller
from openbell.services.rpc.callers import METHODS, Door, address_of
from openbell.services.rpc.statuses import status_of

#: How long (seconds) a call may take, whatever its client says. Streams have no end.
CALL_S = 10.0
#: Streams at a time, and those of one user who signed in.
STREAMS_MAX, STREAMS_OF_USER_MAX = 256, 16
#: How often (seconds) it is looked whether who listens may still do so.
LOOK_EVERY_S = 2.0
REQUEST_ID = "x-request-id"
Read = Callable[[Any], Any]
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: What is told although nothing was changed.
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED)

log = structlog.get_logger("rpc")
_LOGGER = logging.getLogger("rpc")

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]


class Front(grpc.aio.ServerInterceptor):
    """Around every method. `answered(method, code)` hears of every answer."""

    def __init__(self, door: Door, answered: Callable[[str, str], None]) -> None:
        self._door = door
        self._answered = answered
        self._first, self._ids = token_hex(4), count(1)  # ids of calls that come without
        self._handlers: dict[str, Handler] = {}
        self._streams: list[int] = []  # user ids

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The method, behind the front; who asks for one that is not there hears that it is not."""
        method = str(handler_call_details.method)
        if method not in self._handlers:
            found = await continuation(handler_call_details)
            if found is None:
                return None
            self._handlers[method] = self._around_handler(method, found)
        return self._handlers[method]

    def _around_handler(self, method: str, found: Any) -> Handler:
        answers = found.response_serializer
        if found.request_streaming:
            assert found.response_streaming, "no method takes a stream and answers once"
            call = self._stream(method, found.stream_stream, lambda requests: requests)
            return grpc.stream_stream_rpc_method_handler(call, found.request_deserializer, answers)
        # The bytes are looked at when it is known who sent them.
        if found.response_streaming:
            call = self._stream(method, found.unary_stream, _reader(found.request_deserializer))
            return grpc.unary_stream_rpc_method_handler(call, None, answers)
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, found.unary_unary, _reader(found.request_deserializer)), None, answers
        )

    def _unary(self, method: str, behaviour: Any, read: Read) -> Any:
        async def call(request: bytes, context: Context) -> Any:
            async with self._around(method, context):
                left: Any = context.time_remaining()
                async with asyncio.timeout(CALL_S if left is None else min(left, CALL_S)):
                    return await behaviour(read(request), context)

        return call

    def _stream(self, method: str, behaviour: Any, read: Read) -> Any:
        async def call(request: Any, context: Context) -> None:
            async with self._around(method, context) as caller:
                user = caller.user_id if caller is not None else 0
                if len(self._streams) >= STREAMS_MAX or (user and self._streams.count(user) >= STREAMS_OF_USER_MAX):
                    raise ThrottledError("too many streams are open", f"at most {STREAMS_OF_USER_MAX} of a user", "close one")
                self._streams.append(user)
                writing = asyncio.create_task(_write(behaviour(read(request), context), context))
                try:
                    while not (await asyncio.wait({writing}, timeout=LOOK_EVERY_S))[0]:
                        if caller is not None:
                            await self._door.again(caller, METHODS[method])
                    await writing
                finally:
                    self._streams.remove(user)
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)

        return call

    @asynccontextmanager
    async def _around(self, method: str, context: Context) -> AsyncIterator[Caller | None]:
        """Let the caller in, and answer with the status of what goes wrong."""
        metadata: dict[str, Any] = {str(key): value for key, value in context.invocation_metadata() or ()}
        wanted = str(metadata.get(REQUEST_ID, ""))
        id, began, address = wanted if _ID.fullmatch(wanted) else f"{self._first}{next(self._ids):x}", perf_counter(), context.peer()
        caller, code = None, grpc.StatusCode.OK
        structlog.contextvars.bind_contextvars(request=id)  # of this task, which is of this call
        try:
            context.set_trailing_metadata(((REQUEST_ID, id),))
            caller = await self._door.enter(method, metadata, address)
            yield caller
        except asyncio.CancelledError:  # the client went, or the server stops
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code = grpc.StatusCode.UNKNOWN
            raise
        except TimeoutError:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            await context.abort(code, "The call took too long.", ((REQUEST_ID, id),))
        except Exception as error:  # whatever it is, it is told once, and the client hears no more than it may
            code, text, more = status_of(error)
            await context.abort(code, text, ((REQUEST_ID, id), *more))
        finally:
            self._tell(method, code, perf_counter() - began, caller, address)

    def _tell(self, method: str, code: grpc.StatusCode, seconds: float, caller: Caller | None, peer: str) -> None:
        self._answered(method, code.name)
        level = logging.INFO if code in _REFUSED or METHODS.get(method) not in ("read", None) else logging.DEBUG
        if _LOGGER.isEnabledFor(level):
            name = caller.name if caller is not None else ""
            log.log(level, "call", method=method, code=code.name, ms=round(1000 * seconds, 1), caller=name, address=address_of(peer))


def _reader(read: Read) -> Read:
    """What makes a message of bytes; UsageError when they are none."""

    def decoded(request: bytes) -> Any:
        try:
            return read(request)
        except DecodeError:
            raise UsageError("the request is no message of this method", "one of the contract openbell.v1") from None

    return decoded


async def _write(made: Any, context: Context) -> None:
    """Send what a method yields; one that sends by itself only has to be waited for."""
    if inspect.isawaitable(made):
        await made
        return
    async with aclosing(made):
        async for reply in made:
            await context.write(reply)
