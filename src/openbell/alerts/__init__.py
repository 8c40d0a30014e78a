"""Alerts that stand, compared with every tick: pure, compiled, and the same whatever the ticks are cut into."""
