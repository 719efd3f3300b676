"""Who may use the HTTP API, and whose a file is."""
