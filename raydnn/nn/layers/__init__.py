"""Layers of a stack: every parameter has a leading member dimension.

To add a layer, write one file here with two classes:

1. What it is before it is trained, a frozen dataclass with the methods of `raydnn.nn.layers.layer.Layer`: its name,
   its parameters with their roles (`layout`), the shape of what comes out, what it costs an example (`costs`: what
   memory, parts and plans are estimated from), its row of the summary, its parameters' first values (`start`; `draw`
   does what the roles say), and `module`.
2. What computes it for N members, a torch.nn.Module: forward(inputs (N, B, *shape), context) → (N, B, *shape out).

Penalties, decay, limits, pruning, clipping, diagnostics, checkpoints, stacks and several workers go by the roles and
need nothing more. A model is a composition of layers (`raydnn.nn.models`). tests/test_growth.py adds one.
"""
