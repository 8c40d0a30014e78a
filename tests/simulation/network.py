"""A network between services and servers that can be made to fail: servers of a test's own, each behind a proxy."""

import contextlib
import time

from tests.simulation.platform import PORTS, SERVERS, Servers
from tests.simulation.proxy import Proxy

#: What can happen to a connection: nothing passes, or nothing to the server, or nothing from it; the same, and then it is reset, so that
#: nobody hears what became of what was sent; it is reset, and so are new ones; everything is late.
FAULTS = ("stall", "requests", "answers", "unheard", "cut", "slow")
#: How late (seconds) each piece of data is on a bad line.
LATE_S = (0.02, 0.15)
#: How long (seconds) a fault goes on at most, because nothing has met it yet: connections say at least something now and then.
QUIET_S = 15.0


class Network:
    """Four servers, each behind a proxy. Kafka names its proxy to whoever connects: its clients come that way whatever they were told."""

    def __init__(self):
        self.servers = Servers()
        self.proxies = {server: Proxy("127.0.0.1", PORTS[server] + self.servers.offset) for server in SERVERS}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for proxy in self.proxies.values():
                stack.enter_context(proxy)
            self.servers.set(OPENBELL_SERVICES_KAFKA_ADVERTISED=str(self.proxies["kafka"].port))
            stack.enter_context(self.servers)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)

    def through(self, server):
        """The environment of who reaches this server through its proxy only."""
        port = str(self.proxies[server].port)
        return {
            "postgres": {"DB_PORT": port},
            "redis": {"REDIS_ADDR": f"127.0.0.1:{port}"},
            "rabbitmq": {"OPENBELL_RABBITMQ__PORT": port},
            "kafka": {"OPENBELL_KAFKA__SERVERS": f"127.0.0.1:{port}"},
        }[server]

    def disturb(self, session, server, fault, seconds, generator):
        """Have something happen for so long, or until somebody has noticed; then everything passes again. Returns whether somebody has."""
        proxy = self.proxies[server]
        before = proxy.disturbed
        if fault == "cut":
            proxy.cut()
        elif fault == "slow":
            proxy.slow(generator.uniform(*LATE_S))
        else:
            proxy.stall({"stall": "everything", "unheard": "answers"}.get(fault, fault))
        session.live(seconds)
        deadline = time.monotonic() + QUIET_S
        while proxy.disturbed == before and time.monotonic() < deadline:
            session.live(0.1)
        if fault == "unheard":
            proxy.cut()
        proxy.resume()
        return proxy.disturbed > before
