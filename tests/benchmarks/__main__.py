"""Run the measurements and print a table of medians and ratios.

Every number is measured in this run, beside what it is compared with, in turn. The exit code is 1
where a budget is not met, after the measurement was repeated once: machines are noisy.
"""

from __future__ import annotations

import argparse
import platform
import sys

from tests.benchmarks import applying, cold_start, guards, intricate, proofs
from tests.benchmarks.table import Measurement, print_table

SUITES = (
    cold_start.measure,
    proofs.measure,
    intricate.measure,
    applying.measure,
    guards.measure,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, under 50 seconds")
    parser.add_argument(
        "--smallest", action="store_true", help="everything once, to see that it runs"
    )
    given = parser.parse_args()
    print(f"Python {platform.python_version()} on {platform.machine()}, one core each\n")
    measured: list[Measurement] = []
    for suite in SUITES:
        results = suite(quick=given.quick or given.smallest, smallest=given.smallest)
        if not given.smallest and not all(result.met for result in results):
            results = suite(quick=given.quick)
        measured += results
    print_table(measured)
    return 0 if given.smallest or all(result.met for result in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
