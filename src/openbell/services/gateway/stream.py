"""The live stream: who is on it, what each wants, and who has to go. Without clients it neither reads nor runs.

`docs/guides/stream.md` has the protocol. A client is one of a group that is told the same (`groups`); what is told is read from the bus and
made into frames once a group (`telling`), handed to its clients (`sweeper`), over lines that are looked after together (`lookout`).
"""

import asyncio

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from openbell.errors import StorageError, ThrottledError
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.accounts.throttle import network
from openbell.services.gateway.access import PROTOCOL, Access
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.client import CHANNELS, Client, Subscribe, Unsubscribe
from openbell.services.gateway.frames import message_frame
from openbell.services.gateway.groups import Group, Wish
from openbell.services.gateway.line import LINE, Line
from openbell.services.gateway.lookout import HEARTBEAT_S, TOO_SLOW, TRY_AGAIN_LATER, Lookout
from openbell.services.gateway.sweeper import Sweeper
from openbell.services.gateway.telling import Telling

#: Lines of one user who signed in, and of one address where users sign in.
CLIENTS_OF_USER_MAX, CLIENTS_OF_ADDRESS_MAX = 16, 256
#: Messages that a client may send within a minute.
ASKED_MAX = 120
#: How often (seconds) it is looked whether who listens may still do so.
LOOK_EVERY_S = 2.0
#: Seconds after which who found no room may try again.
RETRY_S = 10
BAD_REQUEST, BROKEN = 1008, 1011
_WANTED = 'something such as {"op":"subscribe","channels":["prices"],"symbols":["BTCUSDT"]}'

log = structlog.get_logger("stream")


class Hub:
    """The clients of one gateway, at most `most`, pinged every `heartbeat` seconds."""

    def __init__(self, backstage: Backstage, access: Access | None = None, most: int = 10_000, heartbeat: int = HEARTBEAT_S) -> None:
        self.clients: set[Client] = set()
        self.groups: dict[Wish, Group] = {}
        self.most = most
        self._backstage = backstage
        self._access = access or Access()
        self._lookout = Lookout(self._send_away, heartbeat)
        self._sweeper = Sweeper()
        #: What reads the bus, while there are clients.
        self.telling: Telling | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._of_user: dict[int, int] = {}
        self._of_address: dict[str, int] = {}

    async def serve(self, socket: WebSocket, caller: Caller = LOCAL) -> None:
        """Let a client in; from then on it lives without the application. ThrottledError when there is no room for it."""
        line: Line = socket.scope["extensions"][LINE]
        address = network(socket.state.address) if self._access.has_accounts else ""
        visible = await self._backstage.owners.visible(caller)
        if len(self.clients) >= self.most:
            raise ThrottledError("too many clients", f"at most {self.most}", "try again later", retry_after_s=RETRY_S)
        if caller.user_id and self._of_user.get(caller.user_id, 0) >= CLIENTS_OF_USER_MAX:
            raise ThrottledError("too many lines", f"at most {CLIENTS_OF_USER_MAX} of a user", "close one", retry_after_s=RETRY_S)
        if address and self._of_address.get(address, 0) >= CLIENTS_OF_ADDRESS_MAX:
            raise ThrottledError("too many lines", f"at most {CLIENTS_OF_ADDRESS_MAX} of an address", "close one", retry_after_s=RETRY_S)
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
        except WebSocketDisconnect:
            return
        client = Client(self, line, caller, visible, address)
        self.join(client)
        line.begin(client)

    def join(self, client: Client) -> None:
        """Somebody new, who is told nothing yet."""
        self.clients.add(client)
        self._lookout.add(client)
        self._count(client, 1)
        if self.telling is None:
            self.telling = Telling(self._backstage, self.groups, self._sweeper)
            work = [self.telling.follow(), self.telling.beat(), self._sweeper.run(), self._lookout.run(), self._look()]
            self._tasks = [asyncio.create_task(one) for one in work]
            for task in self._tasks:
                task.add_done_callback(self._ended)

    # What clients call.

    def leave(self, client: Client) -> None:
        """It has gone."""
        if client not in self.clients:
            return
        self.clients.discard(client)
        self._lookout.remove(client)
        self._count(client, -1)
        self._part(client)
        if not self.clients and self.telling is not None:
            for task in self._tasks:
                task.cancel()
            self.telling.close()
            self.telling = None

    def answer(self, client: Client) -> None:
        """Deal with what a client said; later, when its line is full."""
        loop = asyncio.get_running_loop()
        if loop.time() - client.minute > 60.0:
            client.minute, client.asked = loop.time(), 0
        client.asked += 1
        if client.asked > ASKED_MAX:
            self._send_away(client, BAD_REQUEST, f"more than {ASKED_MAX} messages within a minute")
            return
        self._answer_waiting(client)

    def fall_behind(self, client: Client) -> None:
        """Its line is full."""
        self._lookout.full(client)
        self._backstage.metrics.stream_slow.inc()
        if client.group is not None:
            client.group.members.discard(client)
            client.group.behind.add(client)

    def catch_up(self, client: Client) -> None:
        """Its line is free again."""
        self._lookout.free(client)
        group = client.group
        if client.is_stale and client.wanted is not None:
            self._begin(client, client.wanted)
        elif group is not None:
            frames = group.left_of(client.seq)
            if frames is None:
                self._send_away(client, TRY_AGAIN_LATER, TOO_SLOW)
                return
            group.behind.discard(client)
            group.members.add(client)
            self._backstage.metrics.stream_replaced.inc(group.seq - client.seq - len(frames))
            client.seq = group.seq
            if frames:
                client.line.write(b"".join(frames))
        self._answer_waiting(client)

    def _answer_waiting(self, client: Client) -> None:
        while client.inbox and not client.line.is_full and client in self.clients:
            text = client.inbox.popleft()
            try:
                asked = msgspec.json.decode(text, type=Subscribe | Unsubscribe)
            except (msgspec.DecodeError, RecursionError) as error:
                self._send_away(client, BAD_REQUEST, f"a message is not understood: {error}; expected {_WANTED}")
                return
            if unknown := sorted(set(asked.channels or ()) - set(CHANNELS)):
                self._send_away(client, BAD_REQUEST, f"there is no channel '{unknown[0][:40]}'; the channels are {', '.join(CHANNELS)}")
                return
            if isinstance(asked, Subscribe):
                self._begin(client, asked)
            else:
                self._narrow(client, asked)

    # Subscriptions.

    def _begin(self, client: Client, wanted: Subscribe) -> None:
        """A snapshot, and from then on what is newer; instead of what the client was told before."""
        assert self.telling is not None
        self._part(client)
        self.telling.tell_waiting()
        group = self._enter(client, wanted)
        client.is_stale = False
        client.line.write(self.telling.greeting(group, client.visible))

    def _narrow(self, client: Client, asked: Unsubscribe) -> None:
        """Less than before: what was said until now is sent, and it goes on without a snapshot."""
        assert self.telling is not None
        before = client.wanted
        if before is None or (asked.symbols is not None and before.symbols is None):
            found = "there is no subscription" if before is None else "the subscription is to all symbols, and not to some less"
            self._send_away(client, BAD_REQUEST, f"{found}; subscribe to what is wanted instead")
            return
        assert client.group is not None, "with a subscription"
        self.telling.tell_waiting()
        self.telling.tell_unsaid(client.group, at_once=True)
        frames, prev = client.group.left_of(client.seq), client.group.seq
        if frames is None:
            self._send_away(client, TRY_AGAIN_LATER, TOO_SLOW)
            return
        self._part(client)
        left = client.wanted = _without(before, asked)
        if left is not None:
            self._enter(client, left)
        else:
            client.seq = prev + 1
        now = {"channels": left.channels if left else [], "symbols": left.symbols if left else []}
        frames.append(message_frame("subscribed", client.seq, prev, msgspec.json.encode(now)))
        client.line.write(b"".join(frames))

    def _enter(self, client: Client, wanted: Subscribe) -> Group:
        wish = client.wish(wanted)
        group = self.groups.get(wish)
        if group is None:
            group = self.groups[wish] = Group(wish)
        client.wanted, client.group, client.seq = wanted, group, group.seq
        group.members.add(client)
        return group

    def _part(self, client: Client) -> None:
        group, client.group = client.group, None
        if group is not None:
            group.members.discard(client)
            group.behind.discard(client)
            if group.is_empty:
                self.groups.pop(group.wish, None)

    # Who has to go.

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What cannot go on without one of its tasks is begun anew by clients that come back."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the stream failed", error=type(error).__name__, exc_info=error)
            for client in tuple(self.clients):
                self._send_away(client, BROKEN, "something went wrong inside")

    def _send_away(self, client: Client, code: int, reason: str) -> None:
        """Say why, and close."""
        if client in self.clients:
            self._backstage.metrics.stream_sent_away.labels(code).inc()
            words = msgspec.json.encode({"code": code, "detail": reason})
            client.line.write(message_frame("error", client.seq + 1, client.seq, words))
            client.line.end(code, reason)
            self.leave(client)

    async def _look(self) -> None:
        """Send away who has signed out or lost the key, and who may see other accounts than before begins anew."""
        while self._access.has_accounts:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._backstage.owners.refresh()
                callers = {client.caller.origin: client.caller for client in self.clients}
                found = dict(zip(callers, await self._access.accounts.renewed_all(list(callers.values())), strict=True))
            except StorageError as error:
                log.warning("who listens cannot be looked up, and goes", error=str(error))
                found = {}
            for client in tuple(self.clients):
                if client.caller.origin in found or not found:
                    self._renew(client, found.get(client.caller.origin))

    def _renew(self, client: Client, caller: Caller | None) -> None:
        if caller is None or not caller.may("read"):
            self._send_away(client, BAD_REQUEST, "signed out")
            return
        before, wanted = client.visible, client.wanted
        client.caller, client.visible = caller, self._backstage.owners.seen(caller)
        if wanted is None or (client.visible == before and (client.group is None or client.group.wish == client.wish(wanted))):
            return
        if client.line.is_full:
            client.is_stale = True
            self._part(client)
        else:
            self._begin(client, wanted)

    def _count(self, client: Client, change: int) -> None:
        self._of_user[client.caller.user_id] = self._of_user.get(client.caller.user_id, 0) + change
        self._of_address[client.address] = self._of_address.get(client.address, 0) + change
        if not self._of_user[client.caller.user_id]:
            del self._of_user[client.caller.user_id]
        if not self._of_address[client.address]:
            del self._of_address[client.address]


def _without(before: Subscribe, asked: Unsubscribe) -> Subscribe | None:
    """What is left of a subscription; None for nothing."""
    if asked.channels is None and asked.symbols is None:
        return None
    channels = [name for name in before.channels if name not in (asked.channels or ())]
    symbols = before.symbols if before.symbols is None else [name for name in before.symbols if name not in (asked.symbols or ())]
    return Subscribe(channels, symbols) if channels and symbols != [] else None
