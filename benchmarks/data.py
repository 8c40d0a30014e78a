"""The benchmarks' data: drawn anew from fixed seeds, the same bytes on every machine, kept in a cache folder.

Bars are one-minute bars of a slowly mean-reverting random walk with four steps a bar, prices rounded to 0.01; ticks are a random walk of
0.01 reflected at 20.00, about fifty a second.
"""

import os
from pathlib import Path

import numpy as np

START_NS = 1_577_836_800_000_000_000  # 2020-01-01
MINUTE_NS = 60_000_000_000
BAR = np.dtype([("ts", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8")])


def folder():
    """Where the drawn data is kept: `$OPENBELL_BENCH_DATA`, else benchmarks/data beside this file."""
    path = Path(os.environ.get("OPENBELL_BENCH_DATA") or Path(__file__).with_name("data"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def bars(count):
    """The first `count` of ten million bars, at most one million of them kept on disk."""
    return kept("bars", draw_bars, 1_000_000)[:count]


def ticks(count=10_000_000):
    """Columns of the first `count` ticks: ts, price, size, side."""
    whole = kept("ticks", draw_ticks, 10_000_000)
    return tuple(np.ascontiguousarray(whole[name][:count]) for name in whole.dtype.names)


def kept(name, draw, count):
    """The drawn array of this name, from disk when it is there."""
    path = folder() / f"{name}_{count}.npy"
    if not path.exists():
        draft = path.with_suffix(".part.npy")
        np.save(draft, draw(count))
        draft.replace(path)
    return np.load(path, mmap_mode="r")


def draw_bars(count, drawn=10_000_000, seed=1):
    """Bars of an Ornstein-Uhlenbeck walk of the log price: sigma 4 bp a bar, reversion 2e-6 a bar."""
    random = np.random.default_rng(seed)
    inner = random.standard_normal((drawn, 4)) * (4e-4 / 2)
    gaps = random.standard_normal(drawn) * 2e-5
    volumes = random.lognormal(3.0, 1.0, drawn)
    inner, gaps, volumes = inner[:count], gaps[:count], volumes[:count]
    steps, log_price, level = inner.sum(1), np.empty(count), 0.0
    decay = (1 - 2e-6) ** np.arange(1, 1001)
    for first in range(0, count, 1000):
        part = steps[first : first + 1000]
        log_price[first : first + len(part)] = decay[: len(part)] * (level + np.cumsum(part * (1.0 / decay)[: len(part)]))
        level = log_price[first + len(part) - 1]
    before = np.concatenate(([0.0], log_price[:-1]))
    path = before[:, None] + np.cumsum(inner, 1)[:, :3]
    highest = np.maximum(np.maximum(path.max(1), before), log_price)
    lowest = np.minimum(np.minimum(path.min(1), before), log_price)
    out = np.empty(count, BAR)
    out["ts"] = START_NS + np.arange(count, dtype="i8") * MINUTE_NS
    out["open"] = np.round(100.0 * np.exp(before + gaps), 2)
    out["close"] = np.round(100.0 * np.exp(log_price), 2)
    out["high"] = np.maximum.reduce([np.round(100.0 * np.exp(highest), 2), out["open"], out["close"]])
    out["low"] = np.minimum.reduce([np.round(100.0 * np.exp(lowest), 2), out["open"], out["close"]])
    out["volume"] = np.round(volumes) + 1.0
    return out


def draw_ticks(count, seed=2):
    """Trades at exponential distances, seven of ten at the price before."""
    random = np.random.default_rng(seed)
    out = np.empty(count, np.dtype([("ts", "i8"), ("price", "f8"), ("size", "f8"), ("side", "i1")]))
    out["ts"] = START_NS + np.cumsum((random.exponential(0.02, count) * 1e9).astype("i8") + 1)
    moves = random.choice(np.array([-1, 0, 1], dtype="i8"), count, p=[0.15, 0.70, 0.15])
    out["price"] = (np.abs(10_000 + np.cumsum(moves) - 2_000) + 2_000) / 100.0
    out["size"] = np.round(random.lognormal(0.0, 1.0, count), 2) + 0.01
    out["side"] = np.where(random.random(count) < 0.5, 1, -1)
    return out
