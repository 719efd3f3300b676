"""Tables in files and in databases."""
