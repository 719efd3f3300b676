"""Medusa v1's own tables and what it first puts into them."""
