"""Proposing trials, packing them into stacks, and the arithmetic of rungs."""
