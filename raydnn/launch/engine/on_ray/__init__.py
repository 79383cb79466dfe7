"""Ray behind the seam: its sweeps by Ray Tune, its trainings by Ray Train."""
