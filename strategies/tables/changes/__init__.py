"""What jobs change, kept row by row: how rows are put into the log, read from it, and found in it."""
