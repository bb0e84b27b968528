"""The flags of guided sampling."""

import argparse

from sde_jax.cli.values import interval, labels, number, path, share


def guidance_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    group = parser.add_argument_group("labels and guidance")
    classes = "classes, in turn, by name or by index (a name that is a number is a name); default all in turn"
    group.add_argument("--label", type=labels, default=(), metavar="C,C", help=classes)
    weight = "weight of guidance by the network told no label, 1 for none; with --classifier, of its gradient"
    group.add_argument("--guidance", type=number, metavar="W", help=weight)
    by = "a directory of `sde-jax train-classifier`, to guide by its gradient"
    group.add_argument("--classifier", type=path, metavar="DIR", help=by)
    group.add_argument(
        "--guidance_interval", type=interval, metavar="LOW,HIGH", help="guide at these noise levels sigma / alpha alone"
    )
    phi = "share of the guided estimate's deviation that is set to that without guidance, 0 to 1"
    group.add_argument("--guidance_rescale", type=share, metavar="PHI", help=phi)
    weak = "guide by a weaker model, a run's directory or one of the run's averages, in place of the one told no label"
    group.add_argument("--autoguidance", metavar="MODEL", help=weak)
