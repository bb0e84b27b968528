"""Start-up time: the seconds that Python spends importing each package."""

import re
import subprocess
import sys
from collections import Counter

COSTS = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)")
"""A line of `python -X importtime`: microseconds of a module itself, of it and all it imports, and its name."""


def import_seconds(module: str) -> dict[str, float]:
    """Return the seconds that importing `module` in a new process spends in each package, the longest first.

    A package's time is that of all its own modules, without what they import from other packages.
    """
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return by_package(done.stderr)


def by_package(lines: str) -> dict[str, float]:
    """Return the seconds of each package, the longest first, from the lines of `python -X importtime`."""
    spent = Counter()
    for microseconds, name in COSTS.findall(lines):
        spent[name.partition(".")[0]] += int(microseconds)
    return {package: microseconds / 1e6 for package, microseconds in spent.most_common()}
