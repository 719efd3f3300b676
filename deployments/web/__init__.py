"""The page for the people who own the data: its views, what guards them, and the words in each language."""
