"""Ray for this process: embedded or joined, its machines, and training on it."""
