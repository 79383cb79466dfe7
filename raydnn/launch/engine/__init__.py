"""What trains: the seam `Engine`, and behind it Ray, embedded or joined, and this process."""
