"""Augmentation of batches on the device, each member by its own settings."""
