"""From a file to a shop: groups of rows, looked over and written group by group."""
