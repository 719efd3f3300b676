"""Strategies that are written in pandas: input and tables as frames."""
