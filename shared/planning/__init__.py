"""From requirements to rules: priorities, and the forms in which rules are handed over.

Pure, like everything below it.
"""
