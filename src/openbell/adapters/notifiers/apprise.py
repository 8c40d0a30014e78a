"""Sinks through apprise: Telegram, Discord, e-mail, webhooks, and a hundred services that are reached over HTTP.

An address is one of apprise's URLs, such as `tgram://BOT_TOKEN/CHAT_ID`, `discord://WEBHOOK_ID/WEBHOOK_TOKEN`,
`mailtos://USER:PASSWORD@example.com?to=me@example.com`, or `jsons://hooks.example.com/path`. What would act on this machine, read a file,
skip the check of a certificate, or have several targets is refused when the address is given.
"""

import logging
import re
import smtplib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from openbell.adapters.notifiers.answers import outcome_of
from openbell.adapters.notifiers.base import Described, Letter, Outcome, Rate
from openbell.adapters.notifiers.wire import Exchange, addresses_of, is_address, is_public
from openbell.errors import UsageError

#: Characters of a message; the smallest of the limits is Discord's 2000. A longer one is cut, with a sign that it is.
BODY_MAX = 1800
TITLE_MAX = 120
URL_MAX = 2000
#: What each kind allows: Telegram a message a second and 20 a minute in a group, Discord 30 a minute in a channel, mail servers about this.
RATES = {
    "telegram": (Rate(1, 1.0), Rate(20, 60.0)),
    "discord": (Rate(5, 2.0), Rate(25, 60.0)),
    "email": (Rate(20, 60.0),),
    "webhook": (Rate(10, 1.0), Rate(300, 60.0)),
}
RATES_OF_OTHERS = (Rate(2, 1.0), Rate(60, 60.0))

_KINDS = {
    "tgram": "telegram", "discord": "discord", "mailto": "email", "mailtos": "email",
    **dict.fromkeys(("json", "jsons", "xml", "xmls", "form", "forms"), "webhook"),
}  # fmt: skip
#: Those whose address may be shown with apprise's own stars in it; of the others only the host.
_SHOWN = ("telegram", "discord", "email")
#: Parameters that name a file, here or elsewhere, or make keys in one.
_FILES = {"template", "keyfile", "subfile", "pgp", "pgppub", "pgpprv", "cert", "attach", "attach-as", "config"}
_NATURES = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}
#: An at sign, and what Slack takes for a mention, followed by nothing that can be seen: then nobody is mentioned.
_MENTION = re.compile(r"@|<(?=[!#@])")
_NOTHING = "\N{ZERO WIDTH SPACE}"
#: Nothing is asked of elsewhere to decorate a message, nothing is kept on the disk, and the thread that calls is the one that sends.
_ASSET = AppriseAsset(
    app_id="openbell", app_desc="openbell", app_url="", image_url_mask="", image_url_logo="", async_mode=False, service_timeout=0,
    http_redirects=False, secure_logging=True, storage_mode="memory", allow_templates=False,
)  # fmt: skip

# Their lines hold addresses with tokens. What matters is in the outcome.
logging.getLogger("apprise").setLevel(logging.CRITICAL)
logging.getLogger("urllib3").setLevel(logging.INFO)


class AppriseSink:
    """One address. UsageError for one that cannot be used; the text of the error does not repeat it."""

    def __init__(self, url: str, allow_private: bool = False) -> None:
        self._url = url
        self._allow_private = allow_private
        self._service = _instantiate(url)
        kind = _KINDS.get(self._service.schema, self._service.schema)
        self.described = Described(kind, _shown(self._service, kind), RATES.get(kind, RATES_OF_OTHERS))
        self._check(kind)
        self._sender = Apprise(asset=_ASSET)
        self._sender.add(self._service)
        self._exchange: Exchange | None = None

    def _check(self, kind: str) -> None:
        """Raise UsageError for what may not be; where it can be mended without asking, mend it."""
        service = self._service
        if not service.verify_certificate:
            raise UsageError("the address says verify=no", "a server whose certificate is valid", "leave verify out")
        service.redirects = False
        service.retry = 0  # the limits of each sink are kept elsewhere, and so is what is tried again
        service.socket_connect_timeout = min(service.socket_connect_timeout, 10.0)
        if kind == "discord" and not service.avatar_url:
            service.avatar = False  # otherwise a picture is fetched from elsewhere
        if kind == "telegram" and not service.targets:
            raise UsageError("the address names no chat", "tgram://BOT_TOKEN/CHAT_ID", "add the chat id, which the bot's getUpdates shows")
        if len(service) > 1:
            raise UsageError(f"the address has {len(service)} targets", "one", "add a channel for each")
        if not self._allow_private and (host := _own_host(service, kind)):
            if not all(map(is_public, addresses_of(host))):
                raise UsageError(
                    f"{host} leads to a private address", "a server on the internet",
                    "choose another, or let the operator set notify.allow_private",
                )  # fmt: skip

    def send(self, letter: Letter) -> Outcome:
        """One attempt, in the thread that calls."""
        body = f"{letter.body[: BODY_MAX - 1]}…" if len(letter.body) > BODY_MAX else letter.body
        title = letter.title[:TITLE_MAX]
        kind = self.described.kind
        if kind not in ("email", "webhook"):
            title, body = (_MENTION.sub(lambda found: found.group(0) + _NOTHING, text) for text in (title, body))
        self._exchange = Exchange(self._allow_private)
        with self._exchange.opened() as exchange:
            result = self._sender.notify(
                body=body, title="" if kind in ("telegram", "discord") else title, notify_type=_NATURES[letter.severity],
                body_format=NotifyFormat.TEXT,
            )  # fmt: skip
        return outcome_of(bool(result), exchange, kind, self._url)

    def abort(self) -> None:
        """End the attempt that runs."""
        if self._exchange is not None:
            self._exchange.abort()

    def __repr__(self) -> str:
        return f"AppriseSink({self.described.shown})"


def load() -> None:
    """Load all services of apprise."""
    Apprise.instantiate("json://localhost", asset=_ASSET)


def _instantiate(url: str) -> Any:
    """The service of an address."""
    if not url or len(url) > URL_MAX or any(character.isspace() or not character.isprintable() for character in url):
        raise UsageError("the address of the channel is empty, too long, or has blanks in it", f"a URL of at most {URL_MAX} characters")
    if files := _FILES & {name.lower().lstrip("+-:") for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}:
        raise UsageError(f"the address names a file ({', '.join(sorted(files))})", "one that needs none", "leave it out")
    service: Any = Apprise.instantiate(url, asset=_ASSET)
    if not service:
        raise UsageError(
            "the address of the channel cannot be used", "one such as tgram://BOT_TOKEN/CHAT_ID or discord://WEBHOOK_ID/WEBHOOK_TOKEN",
            "write characters such as / and @ in a token as %2F and %40",
        )  # fmt: skip
    if not _is_heard(service):
        raise UsageError(f"{service.schema}:// is not allowed", "Telegram, Discord, e-mail, a webhook, or another service on the web")
    return service


def _is_heard(service: Any) -> bool:
    """Whether a service does all it does with `requests`, or is a mail server. Others act on this machine, or speak for themselves."""
    from sys import modules

    module = modules[type(service).__module__]
    return hasattr(module, "requests") or getattr(module, "smtplib", None) is smtplib


def _own_host(service: Any, kind: str) -> str:
    """The host that the address names itself; empty where it may be a part of a token, which no name server should hear of."""
    if kind == "email":
        return str(service.smtp_host or service.host or "")
    host = str(service.host or "")
    return host if kind == "webhook" or is_address(host) else ""


def _shown(service: Any, kind: str) -> str:
    """The address without its secrets. apprise leaves the path and the headers of a webhook as they are: of those only the host."""
    private = str(service.url(privacy=True)).partition("?")[0].rstrip("/")
    if kind in _SHOWN:
        return private
    scheme, _, rest = private.partition("://")
    place, slash, _ = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{place}{'/…' if slash else ''}"
