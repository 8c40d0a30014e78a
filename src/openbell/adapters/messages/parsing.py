"""Bytes from outside as a protobuf message, or a DataError that says what was wrong with them."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from openbell.errors import DataError

M = TypeVar("M", bound=Message)


def parsed(kind: type[M], payload: bytes) -> M:
    """The message of this kind in the payload; fields of a newer version are kept and otherwise passed over. DataError for what is none.

    >>> from openbell.proto.v1.market_pb2 import Candle
    >>> parsed(Candle, b"hello")
    Traceback (most recent call last):
        ...
    openbell.errors.DataError: 5 bytes are no Candle: 68 65 6c 6c 6f; expected a protobuf message openbell.v1.Candle.
    """
    try:
        return kind.FromString(payload)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise DataError(f"{len(payload)} bytes are no {kind.__name__}: {shown(payload)}", f"a protobuf message {name}") from None


def shown(payload: bytes) -> str:
    """The beginning of a payload, in hexadecimal."""
    return payload[:16].hex(" ") + (" ..." if len(payload) > 16 else "")
