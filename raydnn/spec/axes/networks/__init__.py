"""Models: the network's shape, and what each kind of network asks of its data."""
