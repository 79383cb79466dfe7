"""Examples: where they come from, how they are split, scaled and ordered."""
