"""A run on a Ray cluster: planned and published here, packed there. Ray restarts what dies, and assigns GPUs."""
