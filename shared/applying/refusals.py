"""What an apply may do, and what forbids carrying out a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.applying.live import stated_subnet
from shared.errors import Conflict, OutsideAllowedScopes
from shared.nsg.limits import RULES_PER_NSG
from shared.planning.plan import ForeignRules

if TYPE_CHECKING:
    from shared.amlfs.statement import IntentStatement
    from shared.applying.planned import LivePlan
    from shared.planning.rows import Blocked
    from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What an apply may do.

    Attributes:
        foreign_rules: whether foreign rules that block or leak are removed.
        reassociate: whether the subnet may be taken from another NSG.
        allow_shared: whether an NSG that filters others too may be written.
        own_subnets: ids of subnets that the NSG may filter besides, because the file system was there.
        partial: whether what can be placed is written where something else cannot, as a guard does.
    """

    foreign_rules: ForeignRules = ForeignRules.KEEP
    reassociate: bool = False
    allow_shared: bool = False
    own_subnets: tuple[str, ...] = ()
    partial: bool = False


def refuse(planned: LivePlan, options: ApplyOptions, settings: Settings) -> None:
    """Raise what forbids carrying out a plan; also where there is nothing to do."""
    live = planned.live
    own = {subnet.lower() for subnet in options.own_subnets}
    others = [user for user in live.other_users if user.lower() not in own]
    if others and not options.allow_shared:
        raise Conflict(
            "shared-network-security-group",
            f"{live.nsg_id} also filters {', '.join(others)}: the article's deny rows would"
            " cut off everybody there. Give the file system's subnet an NSG of its own, or set"
            " allowShared.",
            {"otherUsers": others},
        )
    current = live.subnet.nsg_id if live.subnet else None
    if current and planned.associates and not options.reassociate:
        raise Conflict(
            "subnet-of-another-network-security-group",
            f"{current} filters the subnet. Name that one in the intent, or set reassociate.",
            {"networkSecurityGroupId": current},
        )
    if planned.plan.blocked and not options.partial:
        raise no_place(planned.plan.blocked)
    if len(planned.plan.rules) > RULES_PER_NSG:
        raise Conflict(
            "network-security-group-full",
            f"It would have {len(planned.plan.rules):,} rules; an NSG holds {RULES_PER_NSG:,}. Merge or"
            " remove foreign rules.",
        )
    check_scope(live.nsg_id, settings)
    if planned.associates and live.subnet is not None:
        check_scope(live.subnet.id, settings)


def no_place(blocked: tuple[Blocked, ...]) -> Conflict:
    """Return that rows cannot be placed, with every rule in their way and a packet for each."""
    names = sorted({one.decided_by.name for row in blocked for one in row.by})
    return Conflict(
        "no-placement",
        f"No priority is left for {', '.join(one.row.name for one in blocked)} before"
        f" {', '.join(names)}, which take their packets. Change those rules, or set foreignRules to"
        " remove.",
        {"blocked": blocked},
    )


def check_scopes(statement: IntentStatement, settings: Settings) -> None:
    """Raise `OutsideAllowedScopes` where an apply names an NSG or a file system's subnet outside.

    The subnet counts also where its association is right already: that is only known after reading.
    Who may not write the network states the subnet by its prefixes.
    """
    check_scope(statement.network_security_group_id, settings)
    check_scope(stated_subnet(statement), settings)


def check_scope(resource_id: str | None, settings: Settings) -> None:
    """Raise `OutsideAllowedScopes` where a resource lies outside the scopes that may be written to."""
    if resource_id is None or settings.may_write(resource_id):
        return
    scopes = "; ".join(settings.allowed_scopes)
    raise OutsideAllowedScopes(
        f"{resource_id} lies outside the scopes that this service may write to"
        f" ({scopes or 'none'}): have its operator extend AMLFS_ALLOWED_SCOPES."
    )
