"""`sde-jax data`: what data are, and their conversion."""

import argparse
import json

from sde_jax.commands.data import inspect, prepare
from sde_jax.commands.data.location import dataset_of


def run(flags: argparse.Namespace) -> int:
    """Do what the flags say; return the exit code."""
    size = {"data.size": str(flags.size)} if getattr(flags, "size", None) else {}
    whole = flags.action == "inspect"
    dataset = dataset_of(flags.path, flags.config, {**flags.overrides, **size}, whole)
    if whole:
        return inspect.run(dataset, flags.exact, flags.output, flags.json)
    facts = prepare.run(dataset, flags.output, flags.shards)
    print(json.dumps(facts) if flags.json else prepare.shown(facts))
    return 0
