"""Whatever ARM answers: no wrong verdict, no write that is lost or half done, no token to a stranger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.azure import CLIENTS, FILE_SYSTEM, INTENT, LUSTRE, NSG, rule
from tests.guards.conftest import guarded, idle
from tests.hostile.arm import CALLS, MANNERS, HostileArm, hostile_arm
from tests.planning.test_plan import nineteen

__all__ = ["guarded", "idle"]

pytestmark = pytest.mark.in_process

VAULT = f"{NSG}/securityRules/AMLFS-Out-KeyVault"
FOREIGN = rule("theirs", 3000, "Inbound", "Deny")
BY_FILE_SYSTEM = {
    "fileSystemId": FILE_SYSTEM,
    "clientSubnets": [{"id": CLIENTS}],
    "networkSecurityGroupId": NSG,
}
SECONDS = 8.0
"""An attacked call may use up the request's time, and no more."""


@pytest.fixture(scope="module")
def shared_arm(embedded_azure) -> Iterator[HostileArm]:
    with hostile_arm(embedded_azure.url) as arm:
        yield arm


@pytest.fixture
def arm(shared_arm, azure, monkeypatch) -> Iterator[HostileArm]:
    """A network that is right, behind a hostile ARM."""
    azure.nsg([*nineteen(), FOREIGN])
    azure.network(NSG)
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": LUSTRE}})
    monkeypatch.setenv("AMLFS_ARM_ENDPOINT", shared_arm.home)
    monkeypatch.setenv("AMLFS_REQUEST_SECONDS", "3")
    shared_arm.stolen.clear()
    yield shared_arm
    shared_arm.rest()


def check_problem(answer) -> None:
    """A problem that names ARM, or one that the caller can correct; never a failure of our own."""
    assert answer.status_code in (404, 409, 422, 429, 502, 503), answer.text
    problem = answer.json()
    assert problem["type"].startswith("urn:amlfs-network-guard:problem:")
    if answer.status_code >= 429:
        assert "arm" in problem, problem
    if answer.status_code in (429, 503):
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    assert "Traceback" not in answer.text


READS = {
    "read an NSG": INTENT,
    "read a network": INTENT,
    "read a file system": BY_FILE_SYSTEM,
}


def all_manners(attack: Callable[[str], None]) -> None:
    """Try every manner, and tell of all that went wrong; a test for each would take minutes."""
    wrong: dict[str, str] = {}
    for manner in MANNERS:
        started = time.monotonic()
        try:
            attack(manner)
        except AssertionError as error:
            wrong[manner] = str(error)[:300]
        if time.monotonic() - started > 2 * SECONDS:
            wrong[manner] = "it takes too long"
    assert wrong == {}


@pytest.mark.parametrize("call", READS)
def test_a_read_is_right_or_refused(service, azure, arm, call) -> None:
    def attack(manner: str) -> None:
        arm.attack(call, manner)
        started = time.monotonic()
        answer = service.post("/api/verify", json={"intent": READS[call]})
        assert time.monotonic() - started < SECONDS
        assert arm.spoiled
        if answer.status_code == 200:
            assert answer.json()["verdict"] == "compliant", "what it says must be true all the same"
        else:
            check_problem(answer)
        assert arm.stolen == []

    all_manners(attack)


@pytest.mark.parametrize("call", ["write an NSG", "poll"])
def test_a_write_is_done_or_its_outcome_is_found_out(service, azure, arm, call) -> None:
    def attack(manner: str) -> None:
        azure.delete(VAULT)
        azure.set(operationSeconds=0.05 if call == "poll" else 0)
        arm.attack(call, manner)
        started = time.monotonic()
        answer = service.post("/api/apply", json={"intent": INTENT})
        arm.rest()
        assert time.monotonic() - started < SECONDS
        if answer.status_code == 200:
            assert answer.json()["verdictAfter"] == "compliant"
            assert "AMLFS-Out-KeyVault" in azure.names()
        else:
            check_problem(answer)
        assert arm.spoiled
        assert arm.stolen == []
        azure.set(operationSeconds=0)
        again = service.post("/api/apply", json={"intent": INTENT}, timeout=30)
        assert (again.status_code, again.json()["verdictAfter"]) == (200, "compliant"), again.text
        assert {"AMLFS-Out-KeyVault", "theirs"} <= set(azure.names())
        assert len(azure.names()) == 20

    all_manners(attack)


def test_an_association_is_made_or_found_out(service, azure, arm) -> None:
    def attack(manner: str) -> None:
        azure.network()
        arm.attack("write a subnet", manner)
        answer = service.post("/api/apply", json={"intent": INTENT})
        arm.rest()
        if answer.status_code != 200:
            check_problem(answer)
        assert arm.spoiled
        assert arm.stolen == []
        again = service.post("/api/apply", json={"intent": INTENT}, timeout=30)
        assert (again.status_code, again.json()["verdictAfter"]) == (200, "compliant"), again.text

    all_manners(attack)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", ["list NSGs", "list networks"])
def test_a_sweep_writes_nothing_and_calls_nothing_wrong(guarded, arm, call) -> None:
    guarded.quiet()

    def attack(manner: str) -> None:
        guarded.forget()
        arm.attack(call, manner)
        guarded.service.post("/admin/functions/sweep", json={"input": ""}, timeout=60)
        guarded.quiet(30)
        arm.rest()
        assert guarded.get()["status"]["verdict"] == "compliant"
        assert guarded.writes() == 0
        assert guarded.types() in ([], ["failed"], ["resolved"], ["failed", "resolved"])
        assert arm.stolen == []

    all_manners(attack)


def test_health_says_that_arm_is_down_or_up(service, azure, arm) -> None:
    def attack(manner: str) -> None:
        arm.attack("list subscriptions", manner)
        answer = service.get("/api/health/details")
        assert answer.status_code == 200, answer.text
        found = answer.json()["arm"]
        assert found["status"] in ("up", "down")
        assert found["status"] == "down" or isinstance(found["subscriptions"], int)
        assert arm.stolen == []

    all_manners(attack)


def test_every_call_is_attacked_in_many_manners() -> None:
    attacked = {*READS, "write an NSG", "poll", "write a subnet", "list NSGs", "list networks"}
    assert attacked | {"list subscriptions"} == set(CALLS)
    assert len(MANNERS) >= 40


def test_the_stranger_would_hear_something(arm) -> None:
    """So that the tests above can fail."""
    httpx.get(f"{arm.thief}/stolen", headers={"authorization": "Bearer x"})
    assert arm.stolen == ["GET /stolen Bearer x"]
