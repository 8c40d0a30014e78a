"""Notifications: writing the outbox, telling it to a server on this machine, and a storm of ten thousand with a critical one in it.

SQLite, and PostgreSQL where a server is named. The sink is a webhook over loopback without limits, so the figures are of what stands before
it: reading, rendering, one HTTP request of apprise's, marking. The limits of real sinks (Telegram: a message a second) are far below.
"""

import asyncio
import json
import resource
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.load import servers

MESSAGES = 1000
STORM = 10_000
TS = 1_700_000_000_000_000_000


class Hook(BaseHTTPRequestHandler):
    """Takes every message, and notes when which one came."""

    protocol_version = "HTTP/1.1"
    came = []

    def do_POST(self):
        """One message."""
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"]
        self.came.append((time.monotonic(), text))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


def main():
    """Print a line of JSON for each case."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"json://127.0.0.1:{server.server_address[1]}/hook"
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure("SQLite", Path(folder) / "platform.db", folder, url))
    if not servers.environment():
        print("PostgreSQL is left out: no server is named", file=sys.stderr)
        return
    from openbell.adapters.stores.database import Address

    found = servers.settings("postgres")
    with servers.fresh_database(found) as name, tempfile.TemporaryDirectory() as folder:
        at = found.database
        asyncio.run(measure("PostgreSQL", Address(at.host, at.port, at.user, at.password, name), folder, url))


async def measure(engine, place, folder, url):
    """Every case with one database."""
    import structlog

    from openbell.adapters.notifiers import apprise
    from openbell.adapters.stores.database import open_database
    from openbell.config import NotifySettings, Settings, TradingSettings
    from openbell.services.notifier.assembly import Assembly
    from openbell.services.notifier.channels import NewChannel

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    before = memory()
    apprise.load()
    print(json.dumps({"case": "loading apprise", "mib": memory() - before}))
    apprise.RATES["webhook"] = ()
    for case, count, storm in (("one by one", MESSAGES, 1_000_000), ("storm", STORM, 20)):
        settings = Settings(notify=NotifySettings(allow_private=True, storm=storm), trading=TradingSettings(data_dir=folder))
        parts = Assembly(settings, open_database(place))
        for row in parts.channels.list(0):
            parts.channels.delete(0, row.id)
        parts.channels.create(0, NewChannel("hook", url))
        await tell(f"{engine}, {case}", parts, count)
        parts.database.close()


async def tell(case, parts, count):
    """Write so many down, with a critical one at the end, and have all of it told."""
    from openbell.adapters.stores.notification_rows import News

    news = [News(f"{case} {number}", 0, "alert", "warning", TS, {"what": f"AAPL is at or above {number}"}) for number in range(count - 1)]
    news.append(News(f"{case} last", 0, "kill", "critical", TS, {"strategy": "sma", "state": "halted", "reason": "asked for by a user"}))
    Hook.came.clear()
    service = parts.service(case, lambda known: [])
    high, cpu, began = memory(), time.process_time(), time.monotonic()
    running = asyncio.create_task(parts.deliverer.run())
    service.intake.put(news)
    await service.write_down()
    wrote, written = time.monotonic() - began, service.processed
    while parts.outbox.pending():
        await asyncio.sleep(0.05)
    wall, used = time.monotonic() - began, time.process_time() - cpu
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    critical = next(at for at, text in Hook.came if text.startswith("Kill switch"))
    print(
        json.dumps(
            {
                "case": case, "written_per_s": round(written / wrote), "messages": len(Hook.came),
                "deliveries_per_s": round(len(Hook.came) / wall, 1), "cpu_ms_each": round(1000 * used / written, 3),
                "first_critical_s": round(critical - began, 3), "all_s": round(wall, 2), "mib_more": memory() - high,
            }
        )
    )  # fmt: skip


def memory():
    """MiB at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
