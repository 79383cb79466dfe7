"""Tables, progress and summaries on the terminal."""
