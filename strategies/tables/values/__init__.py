"""From a cell's text to a value of its column and back."""
