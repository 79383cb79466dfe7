"""Where the bytes of a run lie, on local disks and object stores, and whether they are whole."""
