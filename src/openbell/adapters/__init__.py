"""The outside, one folder a kind."""
