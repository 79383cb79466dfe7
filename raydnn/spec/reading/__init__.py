"""Job text → specs, with the line of every field."""
