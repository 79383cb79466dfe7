"""Training a stack: the loop, evaluation, early stopping, checkpoints, and the record of it all."""
