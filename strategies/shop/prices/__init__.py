"""Prices: amounts, the prices of variants, and those of a price list."""
