"""Ways of using trainings beyond one run or one sweep; the first ones come with later work."""
