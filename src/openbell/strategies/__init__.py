"""Strategies: the base class, parameters, and the shipped ones by name."""

from openbell.strategies.load import SHIPPED, load
from openbell.strategies.strategy import Strategy, param

__all__ = ["SHIPPED", "Strategy", "load", "param"]
