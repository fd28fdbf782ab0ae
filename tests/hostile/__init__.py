"""Attacks: answers of ARM, requests and events that are made to hurt."""
