"""Tables in CSV files: how they are written, read by Arrow, and what is wrong in them."""
