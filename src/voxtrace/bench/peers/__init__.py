"""Scripts that run a peer on one file."""
