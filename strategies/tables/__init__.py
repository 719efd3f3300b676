"""Tables in files and in databases: what the strategies for any table are made of."""
