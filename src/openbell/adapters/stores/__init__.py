"""Where data lives between runs: history to read."""
