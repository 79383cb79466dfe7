"""Ray Jobs: submit, logs, stop."""
