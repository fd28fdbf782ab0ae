"""Exact sets of packets; knows nothing of Azure."""
