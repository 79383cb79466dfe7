"""A user's own class as a network: how it is built, stacked, measured, and what its parameters are."""
