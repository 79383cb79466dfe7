"""Gradients of a step: by autograd for every model, by hand where the layers offer it."""
