"""Sources: where examples come from, one file each."""
