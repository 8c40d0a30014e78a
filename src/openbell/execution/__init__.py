"""Execution: the simulated venue, as small functions of one order and one event."""
