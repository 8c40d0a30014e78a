"""Indicators: value by value, whole columns at once, and stopped and continued.

    python examples/e01_indicators.py

Runs over the daily closes of the S&P 500 that openbell ships, 1990 to 2022, prints what it finds, and fails if the
numbers are not the expected ones.
"""

from importlib.resources import files

import numpy as np
import polars as pl

from openbell import Bollinger, Rsi, Sma

# TA-Lib 0.8.2 gives the same.
EXPECTED = {
    "golden_crosses": 14,
    "above_upper_band": 431,
    "rsi_on_2022_12_28": 39.071982,
}

days = pl.read_csv(str(files("openbell") / "data/us_index_sp500_daily.csv.gz"))
closes = days["SP500"].to_numpy()

# Value by value, as a strategy does. Until it has seen enough, an average is NaN, and NaN is above nothing.
fast, slow = Sma(50), Sma(200)
above = False
golden_crosses = 0
for close in closes:
    was_above, above = above, fast.update(close) > slow.update(close)
    golden_crosses += above and not was_above

# Whole columns at once, at compiled speed and to the same bits. Several outputs are columns named by `outputs`.
lower, middle, upper = Bollinger(20, width=2.0).over(closes).T
above_upper_band = int((closes > upper).sum())

# The state is a numpy record: its bytes are a checkpoint, and go on in another process as if nothing had happened.
rsi = Rsi(14)
rsi.over(closes[:5000])
saved = rsi.tobytes()
continued = np.frombuffer(bytearray(saved), rsi.dtype)[0]
rsi_on_2022_12_28 = round(float(continued.over(closes[5000:])[-1]), 6)

found = {name: globals()[name] for name in EXPECTED}
for name, value in found.items():
    print(f"{name:<20} {value}")
assert found == EXPECTED, f"expected {EXPECTED}"
