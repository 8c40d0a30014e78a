"""Backtest: history through the kernel, and what came of it. `openbell.backtest(...)` runs one."""

import sys
from types import ModuleType
from typing import Any

from openbell.backtest.result import Result
from openbell.backtest.run import backtest

__all__ = ["Result", "backtest"]


class _Callable(ModuleType):
    """The room and its function share a name: `import openbell.backtest` must not hide `openbell.backtest(...)`."""

    def __call__(self, *args: Any, **options: Any) -> Result:
        return backtest(*args, **options)


sys.modules[__name__].__class__ = _Callable
