"""Layers for pictures (C, H, W): convolutions, pooling, norms of channels, residual blocks."""
