"""What a job may say: one file an axis, read from YAML, checked as a whole."""
