"""What a process that trains runs."""
