"""A step: its batch, its forward and backward pass, captured and replayed."""
