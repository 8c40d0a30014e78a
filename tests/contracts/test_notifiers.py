"""Sinks, held to their contract against local servers that answer as the real ones do."""

import logging
import socket
import ssl
import threading
import time

import pytest

from openbell.adapters.notifiers.apprise import BODY_MAX, AppriseSink
from openbell.adapters.notifiers.base import Letter
from openbell.adapters.notifiers.wire import Exchange, addresses_of, is_public
from openbell.errors import UsageError
from openbell.services.processes.fleet import free_port
from tests.integration.test_tls import make_certificate
from tests.sinks import GROUP, TOKEN, WEBHOOK_TOKEN, Discord, Hook, MailServer, Telegram, redirect

TEXT = Letter("openbell: fill", "Fill: buy 10 AAPL at 231.07 (#17)", "info")
KINDS = {"telegram": Telegram, "discord": Discord, "webhook": Hook, "email": MailServer}


@pytest.fixture(params=KINDS)
def there(request, monkeypatch):
    """A server, and the sink that sends to it."""
    with KINDS[request.param]() as server:
        redirect(monkeypatch, **{name: server for name in ("telegram", "discord") if name == request.param})
        sink = AppriseSink(server.url_of(), allow_private=True)
        assert sink.described.kind == request.param
        yield server, sink


@pytest.fixture
def telegram(monkeypatch):
    with Telegram() as server:
        redirect(monkeypatch, telegram=server)
        yield server, AppriseSink(server.url_of(), allow_private=True)


@pytest.fixture
def discord(monkeypatch):
    with Discord() as server:
        redirect(monkeypatch, discord=server)
        yield server, AppriseSink(server.url_of(), allow_private=True)


@pytest.fixture
def hook():
    with Hook() as server:
        yield server, AppriseSink(server.url_of(), allow_private=True)


@pytest.fixture
def mail():
    with MailServer() as server:
        yield server


def taken(server):
    return server.mails if isinstance(server, MailServer) else server.texts


def test_a_message_arrives(there):
    """Once, as it was written."""
    server, sink = there
    assert sink.send(TEXT).answer == "sent"
    [text] = taken(server)
    assert TEXT.body in text


def test_plain_text_stays_plain(there):
    """What looks like markup is shown as it is, and refused by nobody."""
    server, sink = there
    hostile = "<b>bold</b> & <script>alert(1)</script> *stars* _lines_ [link](http://x) `code` &amp; </pre>"
    assert sink.send(Letter("t", hostile, "warning")).answer == "sent"
    if not isinstance(server, MailServer):
        assert taken(server) == [hostile]


def test_a_long_text_is_cut(there):
    """To what every sink takes, with a sign that it was."""
    server, sink = there
    assert sink.send(Letter("t", "<&" * 5000, "critical")).answer == "sent"
    if not isinstance(server, MailServer):
        assert taken(server)[0].endswith("…")
        assert len(taken(server)[0]) == BODY_MAX


def test_nobody_is_mentioned(discord):
    """A text of somebody else's must not call a whole server together."""
    server, sink = discord
    for text in ("@everyone @here", "<@123456789>", "<@&77> <@!88>"):
        assert sink.send(Letter("t", text, "info")).answer == "sent"
    assert len(server.texts) == 3
    assert server.mentioned == []


def test_telegram_says_how_long_to_wait(telegram):
    """A flood is no failure: the message is to come again after what the body says, and nothing was sent meanwhile."""
    server, sink = telegram
    server.answer = lambda: server.error(429, "Too Many Requests: retry after 17", {"retry_after": 17})
    found = sink.send(TEXT)
    assert (found.answer, found.wait_s, server.requests) == ("later", 17.0, 1)
    assert "Too Many Requests" in found.reason


@pytest.mark.parametrize("tells", [True, False])
def test_discord_says_how_long_to_wait(monkeypatch, tells):
    """One request, no sleep, and the seconds of the body, with or without the headers."""
    with Discord((1, 30.0), tells=tells) as server:
        redirect(monkeypatch, discord=server)
        sink = AppriseSink(server.url_of(), allow_private=True)
        assert sink.send(TEXT).answer == "sent"
        for count in (2, 3):
            began = time.monotonic()
            found = sink.send(TEXT)
            assert found.answer == "later"
            assert 25.0 < found.wait_s <= 30.0
            assert server.requests == count
            assert time.monotonic() - began < 5.0
        assert len(server.texts) == 1


def test_the_last_one_for_a_while(discord):
    """A sink that took a message and has no room for the next says so with it."""
    server, sink = discord
    told = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999", "X-RateLimit-Reset-After": "1.25"}
    server.answer = lambda: (204, None, told)
    assert [sink.send(TEXT) for _ in range(2)] == [sink.send(TEXT)] * 2
    assert sink.send(TEXT).wait_s == 1.25


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        (lambda server: server.chats.clear(), "refused", "chat not found"),
        (lambda server: server.blocked.add(GROUP), "refused", "kicked"),
        (lambda server: setattr(server, "answer", lambda: server.error(400, "Bad Request: can't parse entities")), "fault", "entities"),
        (lambda server: setattr(server, "answer", lambda: (502, b"<html>bad gateway</html>", {})), "failed", "502"),
        (lambda server: setattr(server, "answer", lambda: (302, None, {"Location": "http://127.0.0.1:1/"})), "fault", "302"),
        (lambda server: setattr(server, "answer", lambda: (500, b"[" * 100_000, {})), "failed", "500"),
    ],
)
def test_what_telegram_answers(telegram, change, answer, words):
    """Each answer as what it means."""
    server, sink = telegram
    change(server)
    found = sink.send(TEXT)
    assert (found.answer, server.requests) == (answer, 1)
    assert words in found.reason


def test_a_wrong_token_of_telegram(telegram):
    """Is refused, and not shown."""
    _, _ = telegram
    wrong = TOKEN.replace("AAF", "BBG")
    sink = AppriseSink(f"tgram://{wrong}/{GROUP}", allow_private=True)
    found = sink.send(TEXT)
    assert found.answer == "refused"
    assert "401" in found.reason
    assert wrong.split(":")[1] not in repr((sink, found, sink.described))


def test_a_group_that_became_a_supergroup(telegram):
    """The sink says its new address, which works."""
    server, _ = telegram
    server.moved[-55], server.chats = GROUP, {GROUP}
    found = AppriseSink(server.url_of(-55) + "?silent=yes", allow_private=True).send(TEXT)
    assert (found.answer, found.moved) == ("fault", f"{server.url_of(GROUP)}?silent=yes")
    assert AppriseSink(found.moved, allow_private=True).send(TEXT).answer == "sent"


def test_a_webhook_of_discord_that_is_gone(discord):
    """Or whose token was changed: refused, since asking again leads to a ban."""
    server, sink = discord
    server.token = "another"
    assert sink.send(TEXT).answer == "refused"
    gone = AppriseSink(f"discord://99/{WEBHOOK_TOKEN}", allow_private=True).send(TEXT)
    assert (gone.answer, gone.reason) == ("refused", "404: Unknown Webhook")


def test_the_native_address_of_discord(discord):
    """As the page of Discord shows it."""
    server, _ = discord
    sink = AppriseSink(server.url_of().replace("discord://", "https://discord.com/api/webhooks/"), allow_private=True)
    assert (sink.send(TEXT).answer, sink.described.kind) == ("sent", "discord")


@pytest.mark.parametrize(
    ("refuse", "answer", "code"),
    [
        ({"AUTH": "535 5.7.8 authentication failed"}, "refused", "535"),
        ({"RCPT": "550 no such mailbox"}, "fault", "550"),
        ({"MAIL": "451 local error"}, "later", "451"),
        ({"DATA": "554 looks like spam"}, "fault", "554"),
        ({"EHLO": "421 too busy", "HELO": "421 too busy"}, "later", "421"),
        ({"DATA": "500 what?"}, "failed", "500"),
    ],
)
def test_what_a_mail_server_answers(mail, refuse, answer, code):
    """Each code as what it means; the server's own words are left out."""
    mail.refuse = refuse
    found = AppriseSink(mail.url_of(), allow_private=True).send(TEXT)
    assert found.answer == answer
    assert found.reason.startswith(code)


def test_a_mail_has_a_subject(mail):
    """The title, on one line."""
    assert AppriseSink(mail.url_of(), allow_private=True).send(TEXT).answer == "sent"
    assert "Subject: openbell: fill" in mail.mails[0]
    assert "To: me@example.com" in mail.mails[0]


def test_nobody_listens(hook):
    """It failed, and may be tried again."""
    sink = AppriseSink(f"json://127.0.0.1:{free_port()}/x", allow_private=True)
    assert (sink.send(TEXT).answer, sink.send(TEXT).reason) == ("failed", "it cannot be reached")
    assert AppriseSink(f"mailto://me:secret@example.com:{free_port()}?smtp=127.0.0.1&mode=insecure", True).send(TEXT).answer == "failed"


def test_an_attempt_is_ended_from_another_thread(hook):
    """At once, however slow the sink is."""
    server, sink = hook
    server.delay_s = 30.0
    found = []
    sending = threading.Thread(target=lambda: found.append(sink.send(TEXT)))
    sending.start()
    deadline = time.monotonic() + 10.0
    while sending.is_alive() and time.monotonic() < deadline:
        sink.abort()
        sending.join(0.05)
    assert [outcome.answer for outcome in found] == ["failed"]


def test_an_answer_without_end():
    """Is read up to a bound."""
    with Hook() as server:
        server.answer = lambda: (200, b"x" * 20_000_000, {})
        assert AppriseSink(server.url_of(), allow_private=True).send(TEXT).answer == "sent"


@pytest.mark.parametrize(
    "url",
    [
        "", "nothing", "tgram://bad", f"tgram://{TOKEN}/", f"tgram://{TOKEN}/1/2", "discord://1/2?template=/etc/passwd",
        "discord://1/2?TEMPLATE=http://x/y", "jsons://example.com/?verify=no", "dbus://", "syslog://", "macosx://", "windows://",
        "file:///etc/passwd", "mailtos://a:b@example.com?to=x@example.com,y@example.com", "mqtt://example.com/topic", "gnome://",
        "fcm://project/device?keyfile=/etc/passwd", "mailtos://a:b@example.com?to=x@example.com&pgp=yes", "irc://example.com/x",
        f"jsons://example.com/{'x' * 3000}", "json://example.com/\u202e", "json://example.com/ x",
    ],
)  # fmt: skip
def test_an_address_that_is_not_allowed(url):
    """Is refused when it is given; the error does not repeat its tokens."""
    with pytest.raises(UsageError) as error:
        AppriseSink(url)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.169.254", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
        "[fe80::1]", "[fd00::1]", "100.64.0.1", "224.0.0.1", "2130706433",
    ],
)  # fmt: skip
def test_private_addresses(host):
    """However they are written."""
    with pytest.raises(UsageError, match="private address"):
        AppriseSink(f"json://{host}/x")


def test_a_name_that_leads_elsewhere_the_second_time(monkeypatch, hook):
    """What counts is where the connection goes, and not what the name said before."""
    server, _ = hook
    plain = socket.getaddrinfo
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])

    def lookup(host, *rest, **options):
        return plain(next(answers) if host == "rebinding.example.com" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    sink = AppriseSink(f"json://rebinding.example.com:{server.port}/x")
    found = sink.send(TEXT)
    assert (found.answer, server.requests) == ("failed", 0)
    assert "private address" in found.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(hook, status):
    """A sink that leads elsewhere has not taken the message, and elsewhere nobody is asked."""
    server, _ = hook
    with Hook() as elsewhere:
        server.answer = lambda: (status, None, {"Location": f"{elsewhere.url}/stolen"})
        found = AppriseSink(server.url_of(), allow_private=True).send(TEXT)
        assert found.answer != "sent"
        assert elsewhere.requests == elsewhere.connected == 0


def test_a_certificate_that_nobody_vouches_for(tmp_path, hook):
    """Nothing is sent to who only says that it is the right one."""
    server, _ = hook
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    found = AppriseSink(server.url_of().replace("json://", "jsons://"), allow_private=True).send(TEXT)
    assert (found.answer, server.connected) == ("failed", 0)


def test_mail_goes_to_no_private_address_either(mail):
    """The check is under every client, not only under that of HTTP."""
    with pytest.raises(UsageError, match="private address"):
        AppriseSink(mail.url_of())
    sink = AppriseSink(mail.url_of(), allow_private=True)
    sink._allow_private = False
    found = sink.send(TEXT)
    assert (found.answer, mail.mails) == ("failed", [])
    assert "private" in found.reason


def test_the_proxy_of_the_operator(monkeypatch, hook):
    """May be private; what it is asked for may not."""
    server, _ = hook
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, server.url)
    monkeypatch.setenv("no_proxy", "")
    plain = socket.getaddrinfo
    known = {"public.example.com": "93.184.216.34", "inside.example.com": "93.184.216.34"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **options: plain(known.get(host, host), *rest, **options))
    public, inside = (AppriseSink(f"json://{name}/x") for name in known)
    assert public.send(TEXT).answer == "sent"
    known["inside.example.com"] = "10.0.0.7"
    assert inside.send(TEXT).answer == "failed"
    assert server.requests == 1


def test_others_in_the_process_are_left_alone(hook):
    """Only what happens inside an exchange is watched."""
    server, sink = hook
    assert sink.send(TEXT).answer == "sent"
    socket.create_connection(("127.0.0.1", server.port)).close()
    with Exchange(allow_private=False).opened(), pytest.raises(OSError, match="private"):
        socket.create_connection(("127.0.0.1", server.port))
    socket.create_connection(("127.0.0.1", server.port)).close()


def test_no_secret_is_told(there, caplog, capfd):
    """Neither in what is logged at the loudest level, nor in an answer that repeats the address, nor in what is shown."""
    server, sink = there
    caplog.set_level(logging.DEBUG)
    secrets = [TOKEN.split(":")[1], WEBHOOK_TOKEN, "canary_path_0123456789", MailServer.PASSWORD]
    found = [sink.send(TEXT)]
    if not isinstance(server, MailServer):
        for status in (400, 401, 429, 500):
            server.answer = lambda status=status: (status, {"description": f"wrong: {sink._url}"}, {})
            found.append(sink.send(TEXT))
        assert "wrong" in found[-1].reason
        server.__exit__()
        found.append(sink.send(TEXT))
        server.__enter__ = server.__exit__ = lambda *_: None
    told = repr((sink, sink.described, found)) + caplog.text + "".join(capfd.readouterr())
    assert [secret for secret in secrets if secret in told] == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("jsons://me:canary@hooks.example.com/a/canary?+X-Key=canary", "jsons://hooks.example.com/…"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "slack://T...2/…"),
        (f"tgram://{TOKEN}/{GROUP}", f"tgram://1...2/{GROUP}"),
        ("mailtos://me:canary_pw@example.com?to=you@example.com", "mailtos://me:****@example.com/you%40example.com"),
    ],
)
def test_what_is_shown_of_an_address(url, shown):
    """Enough to know which it is."""
    assert AppriseSink(url, allow_private=True).described.shown == shown


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("2002:7f00:1::", False), ("2002:0808:0808::", True), ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::7f00:1", False), ("::127.0.0.1", False), ("fe80::1%eth0", False), ("255.255.255.255", False), ("ff02::1", False),
        ("", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    """Also those that hold another inside."""
    assert is_public(address) is public
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
