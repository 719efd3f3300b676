"""What the groups of a product file change in the shop."""
