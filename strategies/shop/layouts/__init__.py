"""Other shops' product files, read as Medusa's: one module a layout."""
