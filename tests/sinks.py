"""Local servers that answer as Telegram, Discord, a webhook and a mail server do, for the tests of notifications.

Sources, read 2026-11-21: https://core.telegram.org/bots/api#sendmessage, https://discord.com/developers/docs/resources/webhook#execute-webhook,
https://discord.com/developers/docs/topics/rate-limits, RFC 5321. They refuse what the real ones refuse: a path, a method, a header or a
body that is not as it has to be.
"""

import base64
import contextlib
import json
import re
import socketserver
import threading
import time
from collections import deque
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "123456789:AAF-hc_ZyxWvUtSrQpOnMlKjIhGfEdCbA12"
GROUP = -1001234567890
WEBHOOK_ID = "812345678901234567"
WEBHOOK_TOKEN = "canary_DiscordToken-abcdefghijklmnopqrstuvwxyz0123456789"


class Server:
    """A server on loopback. `answer` is asked before the API itself: (status, body, headers) in its place, or None."""

    def __init__(self):
        self.lock = threading.Lock()
        self.texts = []  # what people would read, in order
        self.connected = 0  # requests that came, answered or not
        self.requests = 0
        self.answer = lambda: None
        self.delay_s = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.connected += 1
                if outer.delay_s:
                    outer.released.wait(outer.delay_s)
                with outer.lock:
                    outer.requests += 1
                    status, said, headers = outer.answer() or outer.post(self.path, dict(self.headers), body)
                data = b"" if said is None else said if isinstance(said, bytes) else json.dumps(said).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_PUT = lambda self: self.send_error(405)

            def log_message(self, *_):
                pass

        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class Windows:
    """A limit: at most `count` in any `seconds`; `wait` is 0 when one more is allowed."""

    def __init__(self, *limits):
        self.limits = [(count, seconds, deque(maxlen=count)) for count, seconds in limits]

    def wait(self):
        now = time.monotonic()
        left = max((times[0] + seconds - now for count, seconds, times in self.limits if len(times) == count), default=0.0)
        if left <= 0.0:
            for _, _, times in self.limits:
                times.append(now)
        return max(left, 0.0)


class Telegram(Server):
    """`sendMessage` of the Bot API."""

    TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "a", "code", "pre", "blockquote", "tg-spoiler", "span"}

    def __init__(self, *limits, chats=(GROUP,)):
        super().__init__()
        self.chats = set(chats)
        self.blocked = set()
        self.moved = {}
        self.windows = Windows(*limits)

    def url_of(self, chat=GROUP, token=TOKEN):
        return f"tgram://{token}/{chat}"

    def post(self, path, headers, body):
        found = re.fullmatch(r"/bot(\d+:[\w-]+)/(\w+)", path)
        if not found:
            return self.error(404, "Not Found")
        if found[1] != TOKEN:
            return self.error(401, "Unauthorized")
        if found[2] != "sendMessage":
            return self.error(404, "Not Found: method not found")
        assert headers["Content-Type"] == "application/json", headers
        sent = json.loads(body)
        chat, text = sent["chat_id"], sent["text"]
        if chat in self.moved:
            said = {"migrate_to_chat_id": self.moved[chat]}
            return self.error(400, "Bad Request: group chat was upgraded to a supergroup chat", said)
        if chat in self.blocked:
            return self.error(403, "Forbidden: bot was kicked from the supergroup chat")
        if chat not in self.chats:
            return self.error(400, "Bad Request: chat not found")
        if wait := self.windows.wait():
            seconds = int(wait) + 1
            return self.error(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds}, {"Retry-After": str(seconds)})
        assert sent["parse_mode"] == "HTML", sent
        plain, wrong = plain_text(text, self.TAGS)
        if wrong:
            return self.error(400, f"Bad Request: can't parse entities: {wrong}")
        if not plain.strip():
            return self.error(400, "Bad Request: message text is empty")
        if len(plain) > 4096:
            return self.error(400, "Bad Request: message is too long")
        self.texts.append(plain)
        return 200, {"ok": True, "result": {"message_id": len(self.texts), "chat": {"id": chat}, "text": plain}}, {}

    def error(self, code, description, parameters=None, headers=None):
        said = {"ok": False, "error_code": code, "description": description, **({"parameters": parameters} if parameters else {})}
        return code, said, headers or {}


class _Entities(HTMLParser):
    def __init__(self, allowed):
        super().__init__(convert_charrefs=True)
        self.text, self.allowed, self.wrong = [], allowed, ""

    def handle_data(self, data):
        self.text.append(data)

    def handle_starttag(self, tag, attributes):
        if tag not in self.allowed:
            self.wrong = f'Unsupported start tag "{tag}"'


def plain_text(html, allowed):
    """The text that Telegram shows, and what is wrong with the markup."""
    parser = _Entities(allowed)
    parser.feed(html)
    parser.close()
    if re.search(r"&(?!(?:lt|gt|amp|quot|nbsp|emsp|#\d+|#x[0-9a-fA-F]+);)", html):
        parser.wrong = "an ampersand that begins nothing"
    if "<" in re.sub(r"</?[a-z-]+(?: [^<>]*)?/?>", "", html):
        parser.wrong = "a bracket that begins no tag"
    return "".join(parser.text).replace("\xa0", " "), parser.wrong


class Discord(Server):
    """The execution of a webhook."""

    def __init__(self, *limits, tells=True):
        super().__init__()
        self.windows = Windows(*limits)
        self.tells = tells  # with the headers that say how many are left
        self.mentioned = []
        self.token = WEBHOOK_TOKEN

    def url_of(self):
        return f"discord://{WEBHOOK_ID}/{WEBHOOK_TOKEN}"

    def post(self, path, headers, body):
        found = re.fullmatch(r"/api/webhooks/(\d+)/([\w-]+)(\?[\w=&]*)?", path)
        if not found:
            return 404, {"message": "404: Not Found", "code": 0}, {}
        if found[1] != WEBHOOK_ID:
            return 404, {"message": "Unknown Webhook", "code": 10015}, {}
        if found[2] != self.token:
            return 401, {"message": "Invalid Webhook Token", "code": 50027}, {}
        assert headers["Content-Type"].startswith("application/json"), headers
        sent = json.loads(body)
        assert "avatar_url" not in sent, sent
        content = sent.get("content", "")
        if not content.strip() and not sent.get("embeds"):
            return 400, {"message": "Cannot send an empty message", "code": 50006}, {}
        if len(content) > 2000:
            return 400, {"message": "Invalid Form Body", "code": 50035}, {}
        if wait := self.windows.wait():
            reset = str(int(time.time() + wait))
            told = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "X-RateLimit-Reset-After": f"{wait:.3f}"}
            said = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": False}
            return 429, said, {"Retry-After": str(int(wait) + 1), **(told if self.tells else {})}
        allowed = sent.get("allowed_mentions", {}).get("parse", ["everyone", "users", "roles"])
        if "everyone" in allowed:
            self.mentioned += re.findall(r"@everyone|@here|<@[!&]?\d+>", content)
        self.texts.append(content)
        return 204, None, {}


class Hook(Server):
    """Whoever takes a message as JSON."""

    def url_of(self, path="/hooks/canary_path_0123456789"):
        return f"json://127.0.0.1:{self.port}{path}"

    def post(self, path, headers, body):
        self.texts.append(json.loads(body)["message"])
        return 200, {"taken": True}, {}


class MailServer:
    """A mail server without TLS. `refuse` maps a command, such as MAIL, to the reply in its place."""

    USER, PASSWORD = "me", "canary_mail_password"

    def __init__(self):
        self.mails = []
        self.refuse = {}
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.say("220 mail.example.com ready")
                while line := self.rfile.readline().decode().strip():
                    command = line.split()[0].upper()
                    if command in outer.refuse:
                        self.say(outer.refuse[command])
                    elif command == "EHLO":
                        self.say("250-mail.example.com\r\n250 AUTH PLAIN")
                    elif command == "AUTH":
                        given = base64.b64decode(line.split()[2]).decode().split("\0")
                        self.say("235 ok" if given[1:] == [outer.USER, outer.PASSWORD] else "535 5.7.8 no such user or password")
                    elif command == "DATA":
                        self.say("354 go on")
                        lines = []
                        while (read := self.rfile.readline().decode()) not in (".\r\n", ""):
                            lines.append(read)
                        outer.mails.append("".join(lines))
                        self.say("250 taken")
                    elif command == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def say(self, text):
                self.wfile.write(f"{text}\r\n".encode())

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def url_of(self, user=USER, password=PASSWORD):
        there = "smtp=127.0.0.1&mode=insecure&from=openbell@example.com&to=me@example.com"
        return f"mailto://{user}:{password}@example.com:{self.port}?{there}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def redirect(monkeypatch, telegram=None, discord=None):
    """Have apprise talk to stand-ins."""
    from apprise.plugins.discord import NotifyDiscord
    from apprise.plugins.telegram import NotifyTelegram

    if telegram is not None:
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{telegram.url}/bot")
    if discord is not None:
        monkeypatch.setattr(NotifyDiscord, "notify_url", f"{discord.url}/api/webhooks")
