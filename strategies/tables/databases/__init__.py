"""Databases, each in one module."""
