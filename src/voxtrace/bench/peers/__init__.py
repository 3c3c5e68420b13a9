"""Scripts that segment one file with another tool."""
