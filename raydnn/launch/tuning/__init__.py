"""A sweep on any engine: its queue, its judges, its slots."""
