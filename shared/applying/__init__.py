"""Applying an intent: what it names is read from ARM, a plan is made, and written with one call."""
