"""Layers of a stack: every parameter has a leading member dimension."""
