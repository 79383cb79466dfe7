"""A sweep with Ray Tune: one Tune trial trains one stack, every member is judged."""
