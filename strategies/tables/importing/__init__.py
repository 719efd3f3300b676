"""From a file to a table: plan, preview, chunks."""
