"""The only place that touches Azure's SDKs; they are imported on first use.

A request that needs no call to Azure pays for none of them.
"""
