"""A verdict in one or two plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.nsg.proofs import ProofVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.amlfs.verification import Verification

NAMED = 5
"""So many requirements or rules are named; of the others only the number is given."""


def summarize(verification: Verification, *, is_associated: bool | None = None) -> str:
    """Return what a verification found, and whether the NSG filters the subnet where that is known."""
    proofs = verification.requirements
    violated = [(row, proof) for row, proof in proofs if proof.verdict is ProofVerdict.VIOLATED]
    undecided = [row.name for row, proof in proofs if proof.verdict is ProofVerdict.UNDECIDED]
    sentences = []
    if violated:
        causes = []
        for row, proof in violated[:NAMED]:
            rule = proof.violations[0].decided_by
            causes.append(f"{row.name} by {rule.name} ({rule.priority})")
        verb = "is" if len(violated) == 1 else "are"
        sentences.append(
            f"{len(violated)} of {len(proofs)} requirements {verb} violated:"
            f" {listed(causes, len(violated))}."
        )
    if verification.excess:
        rules = list(
            dict.fromkeys(
                f"{one.decided_by.name} ({one.decided_by.priority})" for one in verification.excess
            )
        )
        verb = "lets" if len(rules) == 1 else "let"
        sentences.append(
            f"{listed(rules[:NAMED], len(rules))} {verb} more through than was asked for."
        )
    if is_associated is False:
        sentences.append("The NSG does not filter the file system's subnet.")
    if undecided:
        verb = "is" if len(undecided) == 1 else "are"
        sentences.append(
            f"{len(undecided)} of {len(proofs)} requirements {verb} undecided:"
            f" {listed(undecided[:NAMED], len(undecided))}."
        )
    if not sentences:
        sentences.append(f"All {len(proofs)} requirements are satisfied, and nothing else passes.")
    return " ".join(sentences)


def listed(names: Sequence[str], count: int) -> str:
    """Return names with commas, and how many more there are."""
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
