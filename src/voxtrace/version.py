"""The version of VoxTrace, in a file of its own that imports nothing."""

__version__ = "0.3.0"
