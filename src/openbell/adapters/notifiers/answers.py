"""What a server's answer means for a message and for its channel.

Telegram: https://core.telegram.org/bots/api#making-requests, read 2026-11-21

    {"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 17", "parameters": {"retry_after": 17}}
    {"ok": false, "error_code": 400, "description": "Bad Request: group chat was upgraded to a supergroup chat",
     "parameters": {"migrate_to_chat_id": -1001234567890}}

Discord: https://discord.com/developers/docs/topics/rate-limits, read 2026-11-21; headers X-RateLimit-Remaining, X-RateLimit-Reset-After

    {"message": "You are being rate limited.", "retry_after": 0.73, "global": false}
    {"message": "Unknown Webhook", "code": 10015}
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from openbell.adapters.notifiers.base import Outcome
from openbell.adapters.notifiers.wire import TOO_MANY, Answered, Exchange

#: How long (seconds) a server that has no time is left alone when it does not say, and at most.
WAIT_S = 30.0
WAIT_MAX_S = 3600.0
REASON_MAX = 160

#: What an address is made of, and from how many characters on a part of it may be a secret.
_PARTS = re.compile(r"[/?&=@:#]+")
SECRET_MIN = 8

#: Of HTTP: it does not want us, or not this message. Everything else that is no success may pass.
_REFUSED = {401, 403, 404, 410}
_FAULT = {400, 405, 406, 411, 413, 414, 415, 422}
#: Of a mail server: sign-in refused, mailbox refused, come back later.
_MAIL_REFUSED = {530, 534, 535, 538}
_MAIL_FAULT = {550, 551, 552, 553, 554}
_MAIL_LATER = {421, 450, 451, 452}


def outcome_of(is_sent: bool, exchange: Exchange, kind: str, url: str) -> Outcome:
    """What came of an attempt at an address, from what was heard of it."""
    answered = exchange.answers[-1] if exchange.answers else None
    if is_sent:
        return Outcome("sent", wait_s=_pause_after(answered))
    if exchange.trouble:
        return Outcome("failed", exchange.trouble)
    if answered is None:
        return _mail(exchange.replies) if kind == "email" else Outcome("failed", "it was not sent, and nothing says why")
    said = _decoded(answered.body)
    reason = _clean(f"{answered.status}: {_description(said) or 'no reason given'}", url)
    if answered.status == TOO_MANY:
        return Outcome("later", reason, _retry_after(answered, said))
    if kind == "telegram" and answered.status == 400:
        return _telegram_fault(reason, said, url)
    if answered.status in _REFUSED:
        return Outcome("refused", reason)
    if answered.status in _FAULT or 300 <= answered.status < 400:
        return Outcome("fault", reason)
    return Outcome("failed", reason, _retry_after(answered, said) if "retry-after" in answered.headers else 0.0)


def _telegram_fault(reason: str, said: dict[str, Any], url: str) -> Outcome:
    """A chat that moved, a chat that is not there, or a message it does not want."""
    moved = _inside(said, "parameters").get("migrate_to_chat_id")
    if isinstance(moved, int):
        head, _, _ = url.partition("?")
        token = head.removeprefix("tgram://").split("/")[0]
        return Outcome("fault", reason, moved=f"tgram://{token}/{moved}{url[len(head) :]}")
    return Outcome("refused" if "chat not found" in reason.lower() else "fault", reason)


def _mail(replies: Sequence[int]) -> Outcome:
    """What a mail server meant: the last of its replies that was no success."""
    code = next((code for code in reversed(replies) if code >= 400), 0)
    if code in _MAIL_REFUSED:
        return Outcome("refused", f"{code}: the mail server does not let us in")
    if code in _MAIL_FAULT:
        return Outcome("fault", f"{code}: the mail server does not take the message")
    if code in _MAIL_LATER:
        return Outcome("later", f"{code}: the mail server has no time", WAIT_S)
    return Outcome("failed", f"{code}: the mail server is in trouble" if code else "the mail server cannot be reached")


def _retry_after(answered: Answered, said: dict[str, Any]) -> float:
    """Seconds that the server wants: in its body, or in its headers."""
    headers = answered.headers
    wanted = (
        _inside(said, "parameters").get("retry_after"), said.get("retry_after"), headers.get("retry-after"),
        headers.get("x-ratelimit-reset-after"),
    )  # fmt: skip
    return next((seconds for seconds in map(_seconds, wanted) if seconds), WAIT_S)


def _pause_after(answered: Answered | None) -> float:
    """Seconds until the next message may be sent, where the server says that this one was the last for a while."""
    if answered is None or _seconds(answered.headers.get("x-ratelimit-remaining"), zero=True) != 0.0:
        return 0.0
    return _seconds(answered.headers.get("x-ratelimit-reset-after")) or 0.0


def _seconds(value: Any, zero: bool = False) -> float | None:
    """A number of seconds within reason; None for what is none."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(seconds) or seconds < 0.0 or (seconds == 0.0 and not zero):
        return None
    return min(seconds, WAIT_MAX_S)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _inside(said: dict[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _description(said: dict[str, Any]) -> str:
    """The server's own words: Telegram's, Discord's, those of most others."""
    return next((found for name in ("description", "message", "error", "detail") if isinstance(found := said.get(name), str)), "")


def _clean(text: str, url: str) -> str:
    """One printable line, without what is secret: a server may well repeat the address."""
    for secret in (part for part in _PARTS.split(url) if len(part) >= SECRET_MIN):
        text = text.replace(secret, "***")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= REASON_MAX else f"{line[: REASON_MAX - 1]}…"
