"""Bars: candles of any timeframe, built from ticks or from shorter candles."""
