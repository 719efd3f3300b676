"""Who may use the HTTP API, and who owns a file."""
