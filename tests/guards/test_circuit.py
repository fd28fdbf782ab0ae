"""The circuit: somebody keeps undoing a guard, and it stops."""

from __future__ import annotations

import time

from shared.guards.circuit import Circuit
from shared.settings import CircuitLimits
from tests.azure import NSG
from tests.conftest import ISOLATED

LIMITS = CircuitLimits(same=2, any=4, window_seconds=100)


def test_the_same_may_be_restored_so_often() -> None:
    circuit = Circuit()
    for at in (0, 1):
        assert circuit.allows("a", at, LIMITS)
        circuit = circuit.with_write("a", at, at, LIMITS)
    assert not circuit.allows("a", 2, LIMITS)
    assert circuit.allows("b", 2, LIMITS)
    assert circuit.allows("a", 101, LIMITS), "what lies before the window does not count"


def test_anything_may_be_restored_so_often() -> None:
    circuit = Circuit()
    for at, what in enumerate("abcd"):
        assert circuit.allows(what, at, LIMITS)
        circuit = circuit.with_write(what, at, at, LIMITS)
    assert not circuit.allows("e", 5, LIMITS)


def test_it_may_close_a_window_after_the_last_change() -> None:
    circuit = Circuit().opened("broken", 10)
    assert circuit.is_open
    assert not circuit.may_close(109, LIMITS)
    assert circuit.may_close(110, LIMITS)
    assert circuit.observed("broken", 109).may_close(110, LIMITS), (
        "what stays broken does not count"
    )
    assert not circuit.observed("otherwise", 50).may_close(110, LIMITS)
    assert circuit.observed("otherwise", 50).may_close(150, LIMITS)


def test_a_clock_that_jumped_does_not_hold_it_open_for_ever() -> None:
    opened_in_the_future = Circuit(((5_000, "a"), (5_000, "a"))).opened("broken", 5_000)
    seen = opened_in_the_future.observed("broken", 20)
    assert not seen.may_close(119, LIMITS)
    assert seen.observed("broken", 119).may_close(120, LIMITS)
    assert Circuit(((5_000, "a"), (5_000, "a"))).allows("a", 20, LIMITS)


def undo(guarded, times: int) -> None:
    for _ in range(times):
        guarded.azure.client.delete(
            f"{NSG}/securityRules/AMLFS-Out-KeyVault",
            params={"api-version": "2024-07-01"},
            headers={"x-ms-box-principal": "the-network-team"},
        )
        guarded.quiet()


def test_somebody_who_keeps_undoing_is_named_and_not_fought(guarded, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CIRCUIT_SAME", "3")
    undo(guarded, 4)
    assert guarded.types() == ["restored"] * 3 + ["suspended"]
    stopped = guarded.outcomes()[-1]["data"]
    assert (stopped["circuit"], stopped["principal"]) == ("open", "the-network-team")
    assert guarded.get()["status"]["circuit"] == "open"
    assert "AMLFS-Out-KeyVault" not in guarded.azure.names()
    before = guarded.writes()
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    guarded.post("reconcile")
    guarded.quiet()
    assert guarded.writes() == before + 1
    assert guarded.types()[-1] == "driftDetected", "events are still audited"

    guard = guarded.post("resume")
    assert (guard["status"]["circuit"], guard["status"]["verdict"]) == ("closed", "compliant")
    assert guarded.types()[-2:] == ["resumed", "restored"]
    undo(guarded, 3)
    assert guarded.get()["status"]["circuit"] == "closed", "its count was emptied"


def test_the_circuit_closes_by_itself_after_a_quiet_time(guarded, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CIRCUIT_SAME", "1")
    window = 12 if ISOLATED else 2
    for _ in range(2 if ISOLATED else 0):  # both instances of every function have started then
        guarded.run("sweep")
        guarded.quiet()
    monkeypatch.setenv("AMLFS_CIRCUIT_WINDOW_SECONDS", str(window))
    undo(guarded, 2)
    assert guarded.get()["status"]["circuit"] == "open"
    guarded.run("sweep")
    guarded.quiet()
    assert guarded.get()["status"]["circuit"] == "open", "not quiet for long enough"
    time.sleep(window + 0.1)
    guarded.run("sweep")
    guarded.quiet()
    assert guarded.get()["status"]["circuit"] == "closed"
    assert guarded.types()[-2:] == ["resumed", "restored"]
    assert guarded.is_right()


def test_refused_writes_and_registrations_do_not_count(guarded, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CIRCUIT_SAME", "1")
    guarded.azure.fail(
        method="PUT",
        path="*/networksecuritygroups/*",
        times=3,
        status=412,
        code="PreconditionFailed",
    )
    undo(guarded, 1)
    assert guarded.is_right()
    for _ in range(3):
        guarded.put(mode="audit")
        guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
        guarded.quiet()
        guarded.put()
        assert guarded.is_right()
    assert guarded.get()["status"]["circuit"] == "closed"
