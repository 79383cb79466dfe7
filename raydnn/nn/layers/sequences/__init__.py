"""Layers for sequences (T, F): recurrence, attention, embeddings of tokens and places."""
