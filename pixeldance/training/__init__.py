"""Training: what a step learns, and the loop that repeats it."""
