"""Azure in a box, for trying and testing: today the Functions host.

Imports nothing of `shared/`: what stands in for Azure must not share code with what it checks.
"""
