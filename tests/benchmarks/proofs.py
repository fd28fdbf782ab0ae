"""Proofs: from the rules as documents to the verdict, tags loaded, on one core."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from statistics import median
from typing import Any

import z3

from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.requirements import requirements
from shared.amlfs.verification import Verification, extent_of, verify
from shared.documents import read_document
from shared.http.rules import RulesRequest
from shared.nsg.locations import Cloud
from shared.nsg.parsing import read_rules
from shared.nsg.rules import Access
from shared.nsg.service_tags import shipped_service_tags
from shared.planning.generation import generate
from tests.benchmarks.rule_sets import rule_set
from tests.benchmarks.table import Measurement
from tests.intents import EAST_US
from tests.properties import solver
from tests.properties.naive import ordered

TAGS = shipped_service_tags(Cloud.PUBLIC)
INTENT = read_document(RulesRequest, {"intent": EAST_US}).intent.resolve()
CATALOGUE = load_catalogue()
CURVE = (10, 30, 100, 300, 1000, 2000, 4000)


def prove(documents: list[dict[str, Any]]) -> Verification:
    return verify(INTENT, read_rules(documents).rules, CATALOGUE, TAGS)


def milliseconds(documents: list[dict[str, Any]], repeat: int) -> float:
    return milliseconds_each([documents] * repeat)


def milliseconds_each(sets: list[list[dict[str, Any]]]) -> float:
    prove(sets[0])
    times = []
    for documents in sets:
        started = time.perf_counter()
        prove(documents)
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def spell_witnesses(documents: list[dict[str, Any]], repeat: int) -> float:
    """Milliseconds for every witness of a verification, in addresses and ports."""
    proved = prove(documents)
    violations = [v for _, proof in proved.requirements for v in proof.violations] + [
        *proved.excess
    ]
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        _ = [violation.witness for violation in violations]
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def ask_solver(documents: list[dict[str, Any]]) -> float:
    """Milliseconds for the same requirements, each a straightforward question to z3."""
    extent = extent_of(INTENT, peered=())
    started = time.perf_counter()

    def inside(value: z3.BitVecRef) -> z3.BoolRef:
        return solver.in_boundaries(value, extent.sure)

    wanted = requirements(INTENT, CATALOGUE, TAGS)
    passes = {
        d: solver.allowed(ordered(documents, d), TAGS, inside) for d in ("Inbound", "Outbound")
    }
    flows = {
        r.name: solver.matches(
            {
                "protocol": r.flow.protocol.value,
                "sourceAddressPrefixes": list(r.flow.sources),
                "destinationAddressPrefixes": list(r.flow.destinations),
                "sourcePortRanges": list(r.flow.source_ports),
                "destinationPortRanges": list(r.flow.destination_ports),
            },
            TAGS,
            inside,
        )
        for r in wanted
    }
    for r in wanted:
        may_pass = [
            flows[o.name] for o in wanted if o.access is Access.ALLOW and o.direction is r.direction
        ]
        allowed = passes[r.direction.value]
        broken = z3.Not(allowed)
        if r.access is Access.DENY:
            broken = z3.And(allowed, z3.Not(z3.Or(may_pass)))
        solver.is_possible(flows[r.name], broken)
    return 1000 * (time.perf_counter() - started)


LOAD = """
import time, tracemalloc
import shared.nsg.service_tags as tags
from shared.nsg.locations import Cloud
started = time.perf_counter()
tags.shipped_service_tags(Cloud.PUBLIC)
seconds = time.perf_counter() - started
tags.shipped_service_tags.cache_clear()
tracemalloc.start()
tags.shipped_service_tags(Cloud.PUBLIC)
print(1000 * seconds, tracemalloc.get_traced_memory()[1] / 2**20)
"""


def load_tags(repeat: int) -> tuple[float, float]:
    """Milliseconds and, at the peak, MiB of loading the public cloud's tags, each time afresh."""
    runs = [
        [float(x) for x in subprocess.check_output([sys.executable, "-c", LOAD]).split()]
        for _ in range(repeat)
    ]
    return median(r[0] for r in runs), median(r[1] for r in runs)


def measure(*, quick: bool, smallest: bool = False) -> list[Measurement]:
    repeat = 1 if smallest else 7 if quick else 31
    gc.collect()
    gc.freeze()  # the heap of this program, z3 and all, is not the service's
    article = [rule.to_arm() for rule in generate(INTENT, CATALOGUE.revision).rules]
    size = 50 if smallest else 1000
    ordinary, heavy = rule_set(size), rule_set(size, prefixes=4, ports=10)
    load_ms, load_mib = load_tags(1 if smallest else 3 if quick else 9)
    ordinary_ms, heavy_ms = milliseconds(ordinary, repeat), milliseconds(heavy, repeat)
    found = [
        Measurement("load the public cloud's service tags", load_ms, "ms", budget=60),
        Measurement("  memory that takes", load_mib, "MiB", budget=30),
        Measurement("verify the article's rules", milliseconds(article, repeat), "ms", budget=3),
        Measurement(f"verify {size:,} ordinary rules", ordinary_ms, "ms", budget=8),
        Measurement(f"verify {size:,} heavy rules", heavy_ms, "ms", budget=30),
    ]
    ms = spell_witnesses(ordinary, repeat)
    found.append(
        Measurement(f"  {size:,} ordinary rules: spelling the witnesses besides", ms, "ms")
    )
    shapes = [("ordinary", {}), ("heavy", {"prefixes": 4, "ports": 10})]
    for name, shape in shapes:
        new = [
            rule_set(size, seed=seed, **shape)
            for seed in range(1 if smallest else 5 if quick else 15)
        ]
        ms = milliseconds_each(new)
        found.append(Measurement(f"  {size:,} {name} rules, new ones each time", ms, "ms"))
    for count in CURVE[:2] if smallest else CURVE[:5] if quick else CURVE:
        ms = milliseconds(rule_set(count), 1 if smallest else 3 if quick else 9)
        found.append(Measurement(f"  {count} ordinary rules, per rule", 1000 * ms / count, "µs"))
    sets = [("ordinary", ordinary, ordinary_ms, 40.0), ("heavy", heavy, heavy_ms, 100.0)]
    for name, rules, ms, least in () if quick else sets:  # the solver takes its time
        solver_ms = ask_solver(rules)
        found.append(Measurement(f"z3 on the {name} set", solver_ms, "ms"))
        found.append(
            Measurement("  times faster than z3", solver_ms / ms, "×", budget=least, at_least=True)
        )
    return found
