"""`sde-jax certify`: our laws, run again where you are."""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from sde_jax.certificate import Finding, conversions, ends, likelihoods, orders, table, wrappers
from sde_jax.errors import InputError
from sde_jax.recorded import compare


def run(only: str, recorded: Path | None, as_json: bool) -> int:
    """Print the findings whose names match a pattern; return 0 where all promises are kept, 1 otherwise.

    Raises `InputError` for a pattern that is none or that matches nothing, and for a folder that is not there.
    """
    try:
        wanted = re.compile(only, re.IGNORECASE)
    except re.error as error:
        raise InputError(f"--only={only}: expected a regular expression ({error})") from error
    if recorded is not None and not recorded.is_dir():
        raise InputError(f"--recorded={recorded}: no such folder; expected one of recorded .npz files")
    everything = (*orders(), *ends(), *wrappers(), *likelihoods(), *conversions())
    laws = [law for law in everything if wanted.search(law.name)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda law: law.find(), laws)
        findings = list(tqdm(found, total=len(laws), desc="certify", unit="law", disable=None))
    findings += [f for f in _recorded(recorded) if wanted.search(f"{f.law}: {f.part}")]
    if not findings:
        raise InputError(f"--only={only}: matches no law; names are like 'order, mixture: DDIM on VP'")
    short = [f for f in findings if not f.holds]
    if as_json:
        print(json.dumps([{**f._asdict(), "holds": f.holds} for f in findings]))
    else:
        print(table(findings))
        print(f"\n{len(findings) - len(short)} of {len(findings)} promises kept")
        for f in short:
            promise = f"{'>=' if f.at_least else '<='} {f.bound:.3g}"
            print(f"falls short: {f.law}: {f.part} on {f.on}: {f.measured:.3g}, promised {promise}")
    return 1 if short else 0


def _recorded(folder: Path | None) -> Iterator[Finding]:
    for name, difference, tolerance in compare(folder) if folder else []:
        yield Finding("relative difference from the official code", name, "", difference, tolerance)
