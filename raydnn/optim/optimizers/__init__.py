"""Optimizers: one in-place update each, for any number of members at once."""
