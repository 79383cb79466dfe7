"""What can be chosen, read from the specs: kinds, fields, JSON Schema."""
