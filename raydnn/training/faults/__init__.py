"""What goes wrong in training, found, told and survived."""
