"""The demonstration: a broken NSG is repaired, and stays so, whatever others do to it.

`python3 dev.py demo` starts the service and the Azure emulator on free ports, runs it and ends by
itself; its exit code is 0 only if every rule is back.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from local.azure.filters import Subscription
from local.azure.sample import fill
from local.azure.serving import BoxServer
from local.host import ROOT, load_host
from local.server import listen, say, settle_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GUARD = "lustre-b"
QUERY = {"api-version": "2024-07-01"}
SECONDS = 15
"""What takes longer has failed."""


class Demo:
    """The service and the Azure emulator, and what happens between them."""

    def __init__(self, service: httpx.Client, azure: httpx.Client) -> None:
        self.service = service
        self.azure = azure
        self.intent = json.loads((ROOT / f"examples/{GUARD}.json").read_bytes())["intent"]
        self.nsg = str(self.intent["networkSecurityGroupId"])
        self.subnet = str(self.intent["fileSystemSubnet"]["id"])
        self.is_well = True

    def rules(self) -> list[dict[str, Any]]:
        """Return the NSG's rules."""
        properties = self.azure.get(self.nsg, params=QUERY).json()["properties"]
        return list(properties["securityRules"])

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        """Show that something is waited for, and what came of it."""
        started = time.monotonic()
        while not is_so():
            if time.monotonic() - started > SECONDS:
                self.is_well = False
                say(f"   ✗ {what}: not within {SECONDS} s")
                return
            time.sleep(0.02)
        say(f"   ✓ {what}, after {1000 * (time.monotonic() - started):.0f} ms")

    def published(self, count: int) -> None:
        """Wait until the guard has published so many restorations."""
        self.wait("outcome published", lambda: len(self.restorations()) >= count)

    def restorations(self) -> list[dict[str, Any]]:
        """Return the guard's `restored` outcomes, oldest first."""
        return [one for one in self.outcomes() if one["type"].endswith(".restored")]

    def outcomes(self) -> list[dict[str, Any]]:
        """Return the guard's outcomes, oldest first."""
        answer = self.service.get(f"/api/guards/{GUARD}/history").json()
        return list(reversed(answer["value"]))

    def play(self) -> None:
        """Run it, step by step."""
        say("1  A file system's NSG, as people left it")
        verdict = self.service.post("/api/verify", json={"intent": self.intent}).json()
        for requirement in verdict["requirements"]:
            for violation in requirement["violations"][:1]:
                rule, packet = violation["decidedBy"], violation["witness"]
                say(
                    f"   ✗ {requirement['name']}: {rule['name']} ({rule['priority']}) decides"
                    f" {packet['protocol']} {packet['source']} → {packet['destination']}:"
                    f"{packet['destinationPort']}"
                )
        say("2  A guard is registered: it repairs the NSG with one write, foreign rules untouched")
        self.service.put(f"/api/guards/{GUARD}", json={"intent": self.intent}).raise_for_status()
        for change in self.restorations()[-1]["data"]["changes"]:
            say(f"   · {change['action']} {change['name']}")
        self.wait("the verdict is compliant", self.is_compliant)
        say("3  Somebody deletes AMLFS-Out-KeyVault")
        self.azure.delete(f"{self.nsg}/securityRules/AMLFS-Out-KeyVault", params=QUERY)
        self.wait("the rule is back", lambda: self.has("AMLFS-Out-KeyVault"))
        self.published(2)
        say("4  A pipeline overwrites the whole NSG with its template")
        body = {"location": "eastus", "properties": {"securityRules": []}}
        self.azure.put(self.nsg, params=QUERY, json=body)
        self.wait("nineteen rules are back", lambda: len(self.rules()) >= 19)
        self.published(3)
        say("5  Somebody takes the NSG off the subnet")
        properties = {"addressPrefix": "10.0.3.0/24"}
        self.azure.put(self.subnet, params=QUERY, json={"properties": properties})
        self.wait("the subnet has its NSG again", self.is_compliant)
        self.published(4)
        say("6  The outcomes that the guard has published")
        for event in self.outcomes():
            names = ", ".join(change["name"] for change in event["data"].get("changes", ()))
            short = f"{names[:70]}…" if len(names) > 70 else names
            say(f"   · {event['time'][11:23]} {event['type']} {short}")

    def has(self, name: str) -> bool:
        """Whether the NSG has a rule."""
        return any(rule["name"] == name for rule in self.rules())

    def is_compliant(self) -> bool:
        """Whether the service finds everything right."""
        answer = self.service.post("/api/verify", json={"intent": self.intent}).json()
        return bool(answer.get("verdict") == "compliant")


@contextmanager
def stage() -> Iterator[Demo]:
    """Start the Azure emulator and the service on free ports."""
    listener = listen(0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    webhook = f"{address}/runtime/webhooks/EventGrid?functionName=on_network_change"
    with BoxServer(listen(0)) as azure:
        azure.call(fill)
        settle_in(azure.url, listener.getsockname()[1])
        azure.call(lambda box: box.events.subscribe(Subscription(endpoint=webhook)))
        server = uvicorn.Server(uvicorn.Config(load_host().application(), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with (
                httpx.Client(base_url=address, timeout=30) as service,
                httpx.Client(base_url=azure.url) as arm,
            ):
                yield Demo(service, arm)
        finally:
            server.should_exit = True
            thread.join()


def main() -> int:
    """Run it; 0 if every rule is back."""
    logging.basicConfig(level=logging.CRITICAL)
    with stage() as demo:
        demo.play()
        is_well = demo.is_well and demo.is_compliant()
    say("All rules are back." if is_well else "Something did not come back.")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
