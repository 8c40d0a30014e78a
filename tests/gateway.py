"""A platform where users sign in, in a process of its own, and people who ask it things."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.database import Address, open_database
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import LOCAL
from tests.accounts import PASSWORD, add_user
from tests.running import Running

#: The people of the tests, and their roles. Bob owns the strategy `bobs`.
PEOPLE = {"root": "admin", "bob": "trader", "eve": "trader", "vera": "viewer"}
STRATEGIES = [
    {"id": "house", "strategy": "rsi", "symbols": ["ETHUSDT"], "timeframe": "1s", "params": {"period": 14}},
    {
        "id": "bobs", "strategy": "moving_avg_crossover", "symbols": ["BTCUSDT"], "timeframe": "1s", "owner": "bob",
        "params": {"short_period": 3, "long_period": 8}, "limits": {"order_value_share": 1.0},
    },
]  # fmt: skip
MARKET = {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01}


def write_config(folder: Path, **server: Any) -> Path:
    """The settings of such a platform, in a file."""
    limits = {"rate_limit": "100000/minute", "rate_limit_address": "100000/minute"}
    settings = {
        "server": {"sign_in": True, **limits, **server},
        "feed": {"source": "simulated", "speed": "10"},
        "database": {"sqlite_path": str(folder / "platform.db")},
        "trading": {"strategies": STRATEGIES, "user_accounts": 4, "timeframes": ["1s"]},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


async def add_people(folder: Path, place: Path | Address | None = None) -> None:
    """Everybody of PEOPLE, in the database of a platform: the file in its folder, or another place."""
    accounts = Accounts(open_database(place or folder / "platform.db"), lambda: Sealer(b"k" * 32))
    try:
        for name, role in PEOPLE.items():
            await add_user(accounts, name, role)
    finally:
        await accounts.close()


async def renew(folder: Path, name: str, **changes: Any) -> None:
    """Change something of a user from outside, as the command line does."""
    accounts = Accounts(open_database(folder / "platform.db"), lambda: Sealer(b"k" * 32))
    try:
        if "role" in changes:
            await accounts.people.set_role(LOCAL, name, changes["role"])
        if "disabled" in changes:
            await (accounts.people.disable if changes["disabled"] else accounts.people.enable)(LOCAL, name)
    finally:
        await accounts.close()


class Person:
    """Somebody who asks a platform: with the cookie of a session, with a key, or as nobody."""

    def __init__(self, platform: Running, name: str = "", cookie: str = "", key: str = "") -> None:
        self.platform, self.name, self.cookie, self.key = platform, name, cookie, key

    def headers(self) -> dict[str, str]:
        """What says who asks."""
        if self.key:
            return {"Authorization": f"Bearer {self.key}"}
        return {"Cookie": self.cookie, "X-Requested-With": "test"} if self.cookie else {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers of an answer."""
        return self.platform.ask(method, path, body, **{**self.headers(), **headers})

    def get(self, path: str) -> Any:
        """The body of an answer that has to be 200."""
        status, body, _ = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return body

    def do(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of an answer that has to be good."""
        status, answer, _ = self.ask(method, path, body, **headers)
        assert status in (200, 201, 204), (path, status, answer)
        return answer

    def with_key(self, *scopes: str) -> "Person":
        """The same person by a new API key."""
        made = self.do("POST", "/keys", {"name": "test", "scopes": list(scopes)})
        return Person(self.platform, self.name, key=made["key"])


def sign_in(platform: Running, name: str, password: str = PASSWORD, **more: str) -> Person:
    """A new session."""
    status, body, headers = platform.ask("POST", "/auth/sign-in", {"name": name, "password": password, **more})
    assert status == 200, (status, body)
    return Person(platform, name, headers["set-cookie"].partition(";")[0])


@contextlib.contextmanager
def platform_with_people(folder: Path, **server: Any) -> Iterator[Running]:
    """The platform with everybody in it, healthy, and gone at the end of the block."""
    config = write_config(folder, **server)
    asyncio.run(add_people(folder))
    platform = Running(folder, "--config", str(config), command="up")
    try:
        yield platform.wait_until_healthy()
    finally:
        if platform.process.poll() is None:
            platform.process.kill()
            platform.process.wait(10)


def text_of(answer: Any) -> str:
    """An answer as text, to look for what must not be in it."""
    return answer.decode(errors="replace") if isinstance(answer, bytes) else json.dumps(answer)
