"""File formats, each in one module."""
