"""The HTTP API: Medusa v1's batch-job routes and what goes beyond them."""
