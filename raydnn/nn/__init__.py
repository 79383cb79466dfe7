"""Networks of a stack: activations, initializers, layers, models, losses."""
