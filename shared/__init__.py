"""The service's own code; each package imports only those below it.

From the top: `http`, `planning`, `amlfs`, `nsg`, `packets`. `docs/architecture.md` shows the whole.
"""
