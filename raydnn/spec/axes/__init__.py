"""The axes of a trial's configuration, one file each."""
