"""Measurements behind the numbers in the documents; `python3 dev.py bench` runs them."""
