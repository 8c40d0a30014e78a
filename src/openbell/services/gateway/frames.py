"""WebSocket frames as a server sends them: not masked, so that the same bytes are for everybody."""

from struct import pack

#: Bytes of the reason of a close frame, at most.
REASON_MAX = 123
PING = b"\x89\x00"
_TEXT = 0x81


def text_frame(text: bytes) -> bytes:
    """A whole text message as one frame."""
    size = len(text)
    if size < 126:
        return pack("!BB", _TEXT, size) + text
    if size < 1 << 16:
        return pack("!BBH", _TEXT, 126, size) + text
    return pack("!BBQ", _TEXT, 127, size) + text


def message_frame(channel: str, seq: int, prev: int | None, data: bytes) -> bytes:
    """A message of the stream: its number, the number of the one before (none for a snapshot, which begins anew), and its data as JSON."""
    before = b"null" if prev is None else b"%d" % prev
    return text_frame(b'{"channel":"%b","seq":%d,"prev":%b,"data":%b}' % (channel.encode(), seq, before, data))


def shortened(reason: str) -> str:
    """A reason that fits into a close frame."""
    return reason.encode()[:REASON_MAX].decode(errors="ignore")
