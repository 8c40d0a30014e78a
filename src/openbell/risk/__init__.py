"""Risk: the checks before every order, each with a reason code."""
