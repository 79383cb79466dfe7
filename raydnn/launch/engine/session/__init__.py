"""The Ray session of this process: embedded or joined, its folder, its processes, its machines."""
