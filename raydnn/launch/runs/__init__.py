"""What a run is made of, whoever drives it."""
