"""One domain of a parameter: what it holds, how it is written, drawn, ordered, and fitted to."""
