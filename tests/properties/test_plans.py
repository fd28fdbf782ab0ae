"""Plans keep their promises on any rule set: stable, minimal, foreign rules untouched, never wrong."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from shared.amlfs.verification import Verdict
from shared.nsg.proofs import ProofVerdict
from shared.nsg.rules import Access
from shared.planning.documents import StandingRule, read_documents
from shared.planning.ownership import Ownership
from shared.planning.plan import ForeignRules, Plan, make_plan
from tests.azure import rule
from tests.planning.test_plan import nineteen, question

ARTICLE = nineteen()
WORDS = [
    "*",
    "VirtualNetwork",
    "Internet",
    "Storage",
    "Storage.EastUS",
    "AzureKeyVault",
    "BrandNew.EastUS",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.0.0.0/8",
    "20.0.0.0/8",
]
NEAR = [*range(100, 124), 200, 998, 999, 1000, 1001, 1010, 1011, 4096]


def altered(one: dict, change: str, chance) -> dict:
    """A rule of the article as somebody may have changed it."""
    one = copy.deepcopy(one)
    fields = one["properties"]
    if change == "priority":
        fields["priority"] = chance.choice(NEAR)
    elif change == "ports":
        fields.pop("destinationPortRanges", None)
        fields["destinationPortRange"] = chance.choice(["443", "988", "*"])
    elif change == "access":
        fields["access"] = chance.choice(["Allow", "Deny"])
    elif change == "source":
        fields["sourceAddressPrefix"] = chance.choice(WORDS)
    elif change == "name":
        one["name"] += chance.choice(["-2", "-EastUS", "-Backup"])
    return one


foreign_rules = st.builds(
    lambda priority, direction, access, protocol, source, target, port: rule(
        f"foreign-{direction}-{priority}",
        *(priority, direction, access),
        protocol=protocol,
        sourceAddressPrefix=source,
        destinationAddressPrefix=target,
        destinationPortRange=port,
    ),
    st.sampled_from(NEAR),
    st.sampled_from(["Inbound", "Outbound"]),
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["Tcp", "Udp", "*"]),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from(["*", "443", "22", "988"]),
)
CHANGES = ["", "", "", "priority", "ports", "access", "source", "name"]


@st.composite
def rule_sets(draw) -> list[dict]:
    """Some of the article's rules, perhaps changed, and some foreign ones around them."""
    chance = draw(st.randoms(use_true_random=False))
    some = draw(st.lists(st.sampled_from(ARTICLE), unique_by=lambda one: one["name"]))
    rules = [altered(one, chance.choice(CHANGES), chance) for one in some]
    rules += draw(st.lists(foreign_rules, max_size=5))
    by_slot = {(r["properties"]["direction"], r["properties"]["priority"]): r for r in rules}
    return list(by_slot.values())


def planned(rules: list[dict], **asked) -> tuple[Plan, list[StandingRule]]:
    standing, errors = read_documents(rules)
    assert errors == ()
    return make_plan(question(**asked), standing), standing


OWNERSHIP = Ownership(question().intent)


@given(rule_sets())
def test_a_plan_of_its_own_result_is_empty(rules) -> None:
    found, _ = planned(rules)
    again = make_plan(question(), list(found.rules))
    assert again.changes == ()
    assert {b.row.name for b in again.blocked} == {b.row.name for b in found.blocked}


@given(rule_sets())
def test_a_plan_is_always_the_same_whatever_the_order(rules) -> None:
    found, _ = planned(rules)
    turned, _ = planned(rules[::-1])

    def what(plan: Plan) -> set[tuple]:
        return {(c.action, c.name, str(c.after)) for c in plan.changes}

    assert what(found) == what(turned)


@given(rule_sets())
def test_foreign_rules_are_never_touched(rules) -> None:
    before = copy.deepcopy(rules)
    found, _ = planned(rules)
    foreign = [one for one in before if not OWNERSHIP.is_managed(one["name"])]
    assert [r.document for r in found.rules if not OWNERSHIP.is_managed(r.name)] == foreign
    assert all(OWNERSHIP.is_managed(change.name) for change in found.changes)


@given(rule_sets())
def test_no_two_rules_share_a_place_or_a_name(rules) -> None:
    found, _ = planned(rules)
    slots = [(r.rule.direction, r.rule.priority) for r in found.rules]
    assert len(set(slots)) == len(slots)
    assert len({r.name.lower() for r in found.rules}) == len(found.rules)


@given(rule_sets())
def test_a_right_nsg_gets_an_empty_plan_but_for_what_nobody_asks_for(rules) -> None:
    found, standing = planned(rules)
    if found.before.verdict is Verdict.COMPLIANT:
        rows = {row.name.lower() for ground in question().grounds() for row in ground.rows}
        stale = {
            r.name for r in standing if OWNERSHIP.is_managed(r.name) and r.name.lower() not in rows
        }
        assert not found.changes or stale


@given(rule_sets())
def test_every_allow_row_is_served_or_blocked(rules) -> None:
    found, _ = planned(rules)
    blocked = {b.row.name for b in found.blocked}
    for row, proof in found.after.requirements:
        if row.access is Access.ALLOW:
            assert (proof.verdict is ProofVerdict.VIOLATED) == (row.name in blocked)


@given(rule_sets())
def test_what_is_blocked_fits_in_no_place_that_is_left(rules) -> None:
    found, _ = planned(rules)
    for blocked in found.blocked[:1]:
        others = [r for r in found.rules if r.name.lower() != blocked.row.name.lower()]
        taken = {r.rule.priority for r in others if r.rule.direction is blocked.row.direction}
        for slot in (n for n in range(100, 130) if n not in taken):
            placed = StandingRule({}, (blocked.row.rule_at(slot),))
            proofs = question().verify([*others, placed]).requirements
            proof = next(proof for row, proof in proofs if row.name == blocked.row.name)
            assert proof.verdict is ProofVerdict.VIOLATED


@given(rule_sets())
def test_no_rule_is_made_or_changed_for_a_row_that_the_others_serve(rules) -> None:
    found, standing = planned(rules)
    kept = {id(r) for r in standing}
    staying = [r for r in found.rules if id(r) in kept]
    denies = [r for r in found.rules if id(r) not in kept and r.rule.access is Access.DENY]
    for change in found.changes:
        if change.action.value not in ("create", "update"):
            continue
        written = next(r for r in found.rules if r.name == change.name)
        if written.rule.access is Access.DENY:
            proofs = question().verify(staying).requirements
        else:
            proofs = question().verify([*staying, *denies]).requirements
        for row, proof in proofs:
            if row.name.lower() == change.name.lower():
                assert proof.verdict is not ProofVerdict.SATISFIED


@given(rule_sets())
def test_removing_foreign_rules_leaves_nothing_in_the_way(rules) -> None:
    found, standing = planned(rules, foreign_rules=ForeignRules.REMOVE)
    assert found.blocked == ()
    assert found.after.excess == ()
    assert all(proof.verdict is not ProofVerdict.VIOLATED for _, proof in found.after.requirements)
    removed = {c.name for c in found.changes if not OWNERSHIP.is_managed(c.name)}
    for name in removed:
        rest = [r for r in standing if r.name == name or r.name not in removed]
        kept = make_plan(question(), rest)
        assert kept.blocked or name in {v.decided_by.name for v in kept.after.excess}
