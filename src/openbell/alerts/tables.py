"""The tables of a board, each an array that is made anew when it is full, and the head that says where they are."""

from typing import Any

import numpy as np

from openbell.alerts.table import enter
from openbell.model.alerts import (
    ALERT_RECORD,
    BOARD_RECORD,
    BOOK_RECORD,
    CANDLES_RECORD,
    ENTRY_RECORD,
    FIRED_RECORD,
    HOURS_RECORD,
    NOBODY,
    NODE_RECORD,
    STREAM_RECORD,
    WINDOW_RECORD,
)

Array = np.ndarray[Any, Any]

#: Firings that are handed over at once.
FIRED_MAX = 4096
_FIRST_ROWS = 64
#: The table, its record, and the field of its rows that says which is free next.
_TABLES = {
    "alerts": (ALERT_RECORD, "up"), "nodes": (NODE_RECORD, "next"), "streams": (STREAM_RECORD, ""), "books": (BOOK_RECORD, ""),
    "windows": (WINDOW_RECORD, ""), "candles": (CANDLES_RECORD, ""), "hours": (HOURS_RECORD, ""), "fired": (FIRED_RECORD, ""),
    "entries": (ENTRY_RECORD, ""),
}  # fmt: skip


class Tables:
    """The arrays and their head. Rows of alerts and nodes are given out by the kernel, those of the others here."""

    def __init__(self, books: int) -> None:
        self.head = np.zeros(1, BOARD_RECORD)
        self.address = int(self.head.ctypes.data)
        self._arrays: dict[str, Array] = {}
        self._used = dict.fromkeys(_TABLES, 0)
        self._free: dict[str, list[int]] = {name: [] for name in ("streams", "windows", "candles")}
        self.head["free_alert"] = self.head["free_node"] = self.head["changed"] = NOBODY
        self.head["fired_max"], self.head["book_count"] = FIRED_MAX, books
        for name in _TABLES:
            self._resize(name, {"books": max(books, 1), "fired": FIRED_MAX}.get(name, _FIRST_ROWS))
        self.head["entry_mask"] = _FIRST_ROWS - 1

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    @property
    def nbytes(self) -> int:
        """Memory of all tables."""
        return sum(array.nbytes for array in self._arrays.values())

    def row(self, name: str) -> int:
        """A row of streams, windows, candles or hours, zeroed."""
        if self._free.get(name):
            index = self._free[name].pop()
        else:
            index = self._used[name]
            self._used[name] += 1
            if index == len(self[name]):
                self._resize(name, 2 * index)
        self[name][index] = np.zeros((), self[name].dtype)
        return index

    def give_back(self, name: str, index: int) -> None:
        """A row that `row` gave is free again."""
        self._free[name].append(index)

    def make_room(self, alerts: int, nodes: int) -> None:
        """See that there are so many free rows of alerts and of nodes."""
        for name, wanted in (("alerts", alerts), ("nodes", nodes)):
            missing = wanted - int(self.head[f"{name}_left"][0])
            if missing > 0:
                self._resize(name, len(self[name]) + max(missing, len(self[name]) // 2))
        standing = int(self.head["standing"][0]) + alerts
        if 4 * standing > 3 * len(self["entries"]):
            self._enter(1 << (2 * standing).bit_length())

    def _resize(self, name: str, rows: int) -> None:
        """Make a table longer; what is new is free."""
        dtype, link = _TABLES[name]
        before = self._arrays.get(name)
        known = 0 if before is None else len(before)
        made = np.zeros(rows, dtype)
        if before is not None:
            plain = f"V{dtype.itemsize}"
            made.view(plain)[:known] = before.view(plain)
        self._arrays[name] = made
        self.head[name] = made.ctypes.data
        if link:
            made[link][known:] = np.arange(known + 1, rows + 1)
            made[link][-1] = self.head[f"free_{name[:-1]}"][0]
            self.head[f"free_{name[:-1]}"] = known
            self.head[f"{name}_left"] += rows - known

    def _enter(self, entries: int) -> None:
        """Find ids in so many entries, a power of two, from now on."""
        self._arrays["entries"] = np.zeros(entries, ENTRY_RECORD)
        self.head["entries"], self.head["entry_mask"] = self["entries"].ctypes.data, entries - 1
        enter(self.address, len(self["alerts"]))
