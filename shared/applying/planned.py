"""The plan for live state: the rules' plan, and the NSG and the association that it may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.amlfs.advice import Notice
from shared.applying.writes import OUR_TAG
from shared.cloud.resources import parse_id
from shared.planning.changes import Action, Change, packet_text, shown
from shared.planning.documents import read_documents
from shared.planning.plan import ForeignRules, make_plan
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.applying.live import Live
    from shared.errors import FieldError
    from shared.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What would be done to live state.

    Attributes:
        live: what was read.
        plan: of the rules.
        changes: all of them: the NSG's creation, the rules, the association.
        notices: what is worth knowing.
    """

    live: Live
    plan: Plan
    changes: tuple[Change, ...]
    notices: tuple[Notice, ...]

    @property
    def writes_rules(self) -> bool:
        """Whether the NSG itself must be written."""
        return self.live.nsg is None or bool(self.plan.changes)

    @property
    def associates(self) -> bool:
        """Whether the subnet must be written."""
        return self.live.is_associated is False

    def body(self) -> dict[str, Any]:
        """Return the NSG's body after the plan."""
        rules = [rule.document for rule in self.plan.rules]
        if self.live.nsg is not None:
            return self.live.nsg.with_rules(rules)
        network, location = self.live.network, self.live.intent.location
        return {
            "location": network.location if network else location.name,
            "tags": OUR_TAG,
            "properties": {"securityRules": rules},
        }


def plan_live(live: Live, foreign_rules: ForeignRules = ForeignRules.KEEP) -> LivePlan:
    """Plan what makes live state honour its intent; raises `TooComplex`."""
    documents = live.nsg.rules if live.nsg else ()
    standing, unreadable = read_documents(list(documents), "/properties/securityRules")
    plan = make_plan(live.question(foreign_rules), standing)
    return LivePlan(
        live=live,
        plan=plan,
        changes=(*creation(live), *plan.changes, *association(live)),
        notices=(
            *about_users(live),
            *about_cloud(live),
            *live.notices,
            *about_plan(plan),
            *about_rules(unreadable),
        ),
    )


def creation(live: Live) -> Iterator[Change]:
    """Yield the creation of the NSG, where it is missing."""
    if live.nsg is None:
        name = parse_id(live.nsg_id).name
        after = {"id": live.nsg_id, "name": name, "tags": OUR_TAG}
        yield Change(Action.CREATE_NSG, name, None, after, "There is no such NSG yet.")


def association(live: Live) -> Iterator[Change]:
    """Yield the association of the subnet, where it is missing."""
    if live.subnet is None or live.is_associated:
        return
    before = live.subnet.nsg_id
    yield Change(
        Action.ASSOCIATE_SUBNET,
        parse_id(live.subnet.id).child,
        {"id": live.subnet.id, "networkSecurityGroup": {"id": before} if before else None},
        {"id": live.subnet.id, "networkSecurityGroup": {"id": live.nsg_id}},
        f"Another NSG filters the subnet: {before}." if before else "No NSG filters the subnet.",
    )


# -- notices --------------------------------------------------------------------------------------


def about_users(live: Live) -> Iterator[Notice]:
    """Say first what would refuse an apply: who else the NSG filters, or who filters the subnet."""
    if live.other_users:
        yield Notice(
            "shared-network-security-group",
            f"The NSG also filters {', '.join(live.other_users)}: the article's deny rows would cut"
            " off everybody there. An apply is refused unless allowShared is true; better give the"
            " file system's subnet an NSG of its own.",
            "/intent/networkSecurityGroupId",
        )
    if live.subnet is not None and live.subnet.nsg_id and not live.is_associated:
        yield Notice(
            "subnet-of-another-network-security-group",
            f"{live.subnet.nsg_id} filters the subnet. An apply is refused unless reassociate is"
            " true.",
            "/intent/networkSecurityGroupId",
        )
    if live.subnet is None:
        yield Notice(
            "association-unknown",
            "The file system's subnet is stated by its prefixes: whether the NSG filters it cannot"
            " be told, and an apply associates nothing. State the subnet by its id.",
            "/intent/fileSystemSubnet",
        )


def about_cloud(live: Live) -> Iterator[Notice]:
    """Say that the location is of another cloud than the one that is written to."""
    here, there = read_settings().cloud, live.intent.location.cloud
    if here is not there:
        yield Notice(
            "location-of-another-cloud",
            f"{live.intent.location.name} is in {there}, but this service writes to {here}"
            " (AMLFS_CLOUD): its service tags may be unknown there.",
            "/intent/location",
        )


def about_plan(plan: Plan) -> Iterator[Notice]:
    """Say what a plan leaves as it is: what still passes, and what still cannot."""
    for violation in plan.after.excess:
        yield Notice(
            "excess-remains",
            f"{shown(violation)}, which nobody asked for. Declare it as an exception, remove the rule,"
            " or set foreignRules to remove.",
        )
    for blocked in plan.blocked:
        rules = ", ".join(
            f"{one.decided_by.name} ({one.decided_by.priority}, {packet_text(one.witness)})"
            for one in blocked.by
        )
        yield Notice(
            "requirement-blocked",
            f"No priority is left for {blocked.row.name} before what takes its packets: {rules}."
            " Change those rules, or set foreignRules to remove.",
        )


def about_rules(errors: tuple[FieldError, ...]) -> Iterator[Notice]:
    """Say which live rules cannot be read; they are taken for all that they might mean."""
    for error in errors:
        yield Notice("unreadable-rule", error.message, error.pointer)
