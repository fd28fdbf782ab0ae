"""The plan: the changes that make an NSG honour an intent, and the proof of the state after them.

`make_plan` is a pure function. A plan is empty where the meaning is right already, never touches a
foreign rule unless it is told to remove those that block or leak, and a plan of its own result is
empty.

Which rows get a rule: those that the rules which stay do not serve by themselves in the state after
the plan. A right managed rule of a wanted row stays, even where a foreign rule would do. A managed
rule that the intent no longer asks for goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from shared.amlfs.requirements import wanted_rules
from shared.amlfs.verification import Verdict, boundaries_of, verify
from shared.errors import TooComplex
from shared.nsg.extents import Extents
from shared.nsg.rules import Direction
from shared.packets.budget import TooIntricateError, spend
from shared.planning.changes import deletion, replacement, shown
from shared.planning.documents import meaning
from shared.planning.ownership import Ownership
from shared.planning.rows import judge, plan_rows
from shared.planning.seats import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.amlfs.catalogue import Catalogue
    from shared.amlfs.intent import Intent
    from shared.amlfs.verification import Verification
    from shared.nsg.proofs import Violation
    from shared.nsg.rules import SecurityRule
    from shared.nsg.service_tags import ServiceTags
    from shared.packets.axis import Bounds
    from shared.planning.changes import Change
    from shared.planning.documents import StandingRule
    from shared.planning.rows import Blocked


class ForeignRules(StrEnum):
    """What becomes of foreign rules that block what is required or let through what is not."""

    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan is made for.

    Attributes:
        intent: what the NSG must honour.
        catalogue: the article's rows.
        tags: the service tags' addresses.
        virtual_network: the bounds of `VirtualNetwork`.
        foreign_rules: whether foreign rules may be removed.
    """

    intent: Intent
    catalogue: Catalogue
    tags: ServiceTags
    virtual_network: Bounds
    foreign_rules: ForeignRules = ForeignRules.KEEP

    def verify(self, rules: Sequence[StandingRule]) -> Verification:
        """Prove the intent against some rules."""
        return self.about(meaning(rules))

    def about(self, rules: Sequence[SecurityRule]) -> Verification:
        """Prove the intent against some rules, by what they mean."""
        return verify(self.intent, rules, self.catalogue, self.tags, self.virtual_network)

    def grounds(self) -> list[Ground]:
        """Return what each direction's rules are looked at against."""
        rows = wanted_rules(self.intent, self.catalogue, self.tags)
        extents = Extents(self.tags, self.virtual_network)
        universe = boundaries_of(self.intent.file_system)
        return [
            Ground(d, tuple(row for row in rows if row.direction is d), extents, universe)
            for d in Direction
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be changed, and what that comes to.

    Attributes:
        changes: of rules: those of existing ones in their order, then the new ones in the article's.
        rules: all rules after the changes.
        before: the proof of the rules as they are.
        after: the proof of the rules after the changes.
        blocked: rows that can be placed nowhere, each with the rules in its way.
    """

    changes: tuple[Change, ...]
    rules: tuple[StandingRule, ...]
    before: Verification
    after: Verification
    blocked: tuple[Blocked, ...] = ()


STEP_SIZE = 8
"""So many pairs of a foreign rule and a row of ours, looked at by placement, cost as much as a step."""


def make_plan(question: Question, standing: Sequence[StandingRule]) -> Plan:
    """Plan what makes these rules honour the intent.

    Raises:
        TooComplex: the rules overlap each other in too many ways.
    """
    try:
        return Planner(question, standing).plan()
    except TooIntricateError:
        raise TooComplex(
            "These rules and exceptions can be placed in more ways than can be looked at in some"
            " seconds. Plan with fewer of them, or with foreignRules keep."
        ) from None


class Planner:
    """One plan in the making."""

    def __init__(self, question: Question, standing: Sequence[StandingRule]) -> None:
        self._question = question
        self._standing = standing
        self._before = question.verify(standing)
        self._grounds = question.grounds()
        self._rows = {row.name.lower(): row for ground in self._grounds for row in ground.rows}
        ownership = Ownership(question.intent)
        self._own: dict[str, StandingRule] = {}
        self._foreign: list[StandingRule] = []
        self._parts: list[StandingRule] = []
        for rule in standing:
            row = self._rows.get(rule.name.lower())
            if row is not None:
                self._own.setdefault(row.name, rule)
            elif not ownership.is_managed(rule.name):
                self._foreign.append(rule)
            elif self._is_part(rule, ownership.row_of(rule.name) or ""):
                self._parts.append(rule)

    def plan(self) -> Plan:
        """Return the plan."""
        if (found := self._plan_of_what_is_right()) is not None:
            return found
        removed: dict[str, Violation] = {}
        while True:
            plan = self._plan_without(removed)
            offending = self._offenders(plan)
            if self._question.foreign_rules is ForeignRules.KEEP or not offending:
                return self._with_few_removals(removed, plan)
            removed |= offending

    def _plan_of_what_is_right(self) -> Plan | None:
        """Return a plan that only drops what the intent no longer asks for, if nothing else is wrong.

        Exceptions are flows that a plan opens, though a proof only tolerates them.
        """
        if self._before.verdict is not Verdict.COMPLIANT or self._question.intent.exceptions:
            return None
        kept = {*map(id, (*self._own.values(), *self._foreign, *self._parts))}
        rules = [rule for rule in self._standing if id(rule) in kept]
        stale = [rule for rule in self._standing if id(rule) not in kept]
        after = self._question.verify(rules) if stale else self._before
        if after.verdict is not Verdict.COMPLIANT:
            return None
        changes = tuple(deletion(rule, self._why_deleted(rule, {})) for rule in stale)
        return Plan(changes, tuple(rules), self._before, after)

    def _with_few_removals(self, removed: dict[str, Violation], plan: Plan) -> Plan:
        """Return a plan without those removals that the others make needless."""
        for name in [*removed] if len(removed) > 1 else ():
            fewer = {other: why for other, why in removed.items() if other != name}
            other_plan = self._plan_without(fewer)
            if not self._offenders(other_plan):
                removed, plan = fewer, other_plan
        return plan

    def _is_part(self, rule: StandingRule, head: str) -> bool:
        """Whether a managed rule with a number serves a part of a wanted row, and nothing else."""
        row = self._rows.get(head)
        if row is None or not rule.name.rpartition("-")[2].isdecimal():
            return False
        ground = next(ground for ground in self._grounds if row in ground.rows)
        right, narrow = judge(ground, {row.name: rule})
        return bool(right or narrow)

    def _offenders(self, plan: Plan) -> dict[str, Violation]:
        """Return the foreign rules that block after a plan, or else those that leak, with a packet."""
        foreign = {rule.name for rule in self._foreign}
        blocking = [one for blocked in plan.blocked for one in blocked.by]
        violations = blocking or plan.after.excess
        return {v.decided_by.name: v for v in violations if v.decided_by.name in foreign}

    def _plan_without(self, removed: dict[str, Violation]) -> Plan:
        """Return the plan in which these foreign rules are removed."""
        spend(len(self._standing) * len(self._rows) // STEP_SIZE)
        foreign = [rule for rule in self._foreign if rule.name not in removed]
        fixed = [*foreign, *self._parts]
        own_rules: dict[str, StandingRule | None] = {}
        blocked: list[Blocked] = []
        for ground in self._grounds:
            own = {row.name: self._own[row.name] for row in ground.rows if row.name in self._own}
            planned = plan_rows(ground, fixed, own)
            own_rules |= planned.rules
            blocked += planned.blocked
        after: dict[int, StandingRule | None] = {id(rule): rule for rule in fixed}
        after |= {
            id(self._own[name]): rule for name, rule in own_rules.items() if name in self._own
        }
        created = [r for name, r in own_rules.items() if r is not None and name not in self._own]
        rules = [rule for old in self._standing if (rule := after.get(id(old)))] + created
        changes = [*self._changes_of_standing(after, removed), *map(self._creation, created)]
        proof = self._question.verify(rules) if changes else self._before
        return Plan(tuple(changes), tuple(rules), self._before, proof, tuple(blocked))

    # -- changes and their reasons ----------------------------------------------------------------

    def _changes_of_standing(
        self, after: dict[int, StandingRule | None], removed: dict[str, Violation]
    ) -> Iterator[Change]:
        for old in self._standing:
            new = after.get(id(old))
            if new is None:
                yield deletion(old, self._why_deleted(old, removed))
            elif new is not old:
                same = (old.rule.access, old.rule.flow) == (new.rule.access, new.rule.flow)
                yield replacement(old, new, self._why_needed(new, moved=same))

    def _creation(self, new: StandingRule) -> Change:
        return replacement(None, new, self._why_needed(new))

    def _why_deleted(self, rule: StandingRule, removed: dict[str, Violation]) -> str:
        if rule.name in removed:
            return f"A foreign rule that blocks or leaks: {shown(removed[rule.name])}."
        if rule.name.lower() in self._rows:
            return "It does not mean what its row wants, and its row needs no rule of ours."
        return "The intent does not ask for it."

    def _why_needed(self, rule: StandingRule, *, moved: bool = False) -> str:
        row = self._rows[rule.name.lower()]
        if violations := self._violations.get(row.name):
            return f"{row.why} Now {shown(violations[0])}."
        if moved:
            return "It makes room for a rule that must stand before or behind others."
        return row.why

    @cached_property
    def _violations(self) -> dict[str, Sequence[Violation]]:
        """What is wrong with each row before the plan."""
        return {row.name: proof.violations for row, proof in self._before.requirements}
