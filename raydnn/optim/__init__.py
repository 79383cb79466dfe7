"""Optimizers, learning-rate schedules and clipping, for many members at once."""
