"""Locations and packed service tags, and the program that packs them."""
