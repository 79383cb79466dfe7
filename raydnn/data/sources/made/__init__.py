"""Data sets that are made on the spot: the same for the same seed, and nothing is read or downloaded."""
