"""Portfolio: positions, cost, realised profit and cash by double entry in integers."""
