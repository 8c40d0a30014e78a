"""What the market does, from every tick: what moves, how much it varies, and what is out of the ordinary. Pure and compiled."""
