"""Models: compositions of layers, made from their specs."""
