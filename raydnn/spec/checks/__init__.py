"""What no field can know alone."""
