"""What is not known, in words: why nobody can tell whether a requirement is honoured."""

from __future__ import annotations

DESCRIPTIONS = {
    "": "how Azure matches a packet without ports against a rule with ports is not documented",
    "virtualnetwork": "the extent of VirtualNetwork is not known",
    "internet": "the extent of VirtualNetwork, outside of which Internet lies, is not known",
}


def describe(word: str) -> str:
    """Say what is not known about a rule's word."""
    if word.startswith("/"):
        group = word.rpartition("/")[2]
        return f"the members of the application security group {group} are not known"
    if word.startswith("what "):
        return f"{word} is not known"
    return DESCRIPTIONS.get(word, f"what {word} stands for is not known")
