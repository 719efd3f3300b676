"""From a shop to a file: queries and filters."""
