"""A command's own way to the accounts: whoever can read the database and its key may do everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.accounts.callers import Caller

T = TypeVar("T")

Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


def with_accounts(config: Path | None, work: Callable[[Accounts, Caller], Awaitable[T]]) -> T:
    """Do some work with the accounts in the database of the settings, as the local administrator."""
    from openbell.config import LoggingSettings, load_settings
    from openbell.observability import configure_logging
    from openbell.services.accounts.callers import LOCAL
    from openbell.services.accounts.opening import open_accounts

    settings = load_settings(config)
    configure_logging(LoggingSettings(level="ERROR"))

    async def run() -> T:
        accounts = open_accounts(settings)
        try:
            return await work(accounts, LOCAL)
        finally:
            await accounts.close()

    return asyncio.run(run())
