"""A shop's catalogue, orders and prices on Medusa v1's own tables."""
