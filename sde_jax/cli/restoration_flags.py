"""The flags of `restore` and `calibrate`."""

import argparse

from sde_jax.cli.shared_flags import average_flag, json_flag, process_flags, workdir_flag
from sde_jax.cli.values import count, given, path, real, seed


def restore_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to `restore`."""
    _problem(parser)
    what = "what was measured: a picture, or .npy of grey levels with NaN for what is missing"
    parser.add_argument("--input", type=path, metavar="FILE", help=what)
    parser.add_argument("--simulate", action="store_true", help="--input is a clean image, to be measured with noise")
    parser.add_argument("--example", type=seed, metavar="N", help="measure the run's N-th held-out example instead")
    parser.add_argument("--num_samples", type=count, default=8, help="default 8")
    parser.add_argument("--output", type=path, help="files to write, without ending; default WORKDIR/restored_TASK")


def calibrate_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to `calibrate`."""
    _problem(parser)
    parser.add_argument("--num_examples", type=count, default=200, help="truths; default 200")
    parser.add_argument("--num_samples", type=count, default=32, help="members of each posterior; default 32")
    what = "held_out (default) examples, or samples of the model itself: simulation-based calibration"
    parser.add_argument("--truth", default="held_out", metavar="WHICH", help=what)
    parser.add_argument("--output", type=path, help="files to write, without ending; default WORKDIR/calibration_TASK")


def _problem(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    parser.description = f"{parser.description}. --config.method.name=value sets a number of the method."
    parser.add_argument("--task", required=True, help="inpaint, colorize, superres, deblur or sensors")
    methods = "MomentMatching (default), PiGDM, DataAssimilation; point estimates: DPS, DiffPIR"
    parser.add_argument("--method", default="MomentMatching", metavar="NAME", help=methods)
    noise = "standard deviation of the measurement's, in units of x_0, which is in data_range; default 0.05"
    parser.add_argument("--noise", type=real, default=0.05, help=noise)
    mask = "of inpaint: a picture, white where pixels are known and black elsewhere, or .npy of bool; default: a square"
    parser.add_argument("--mask", type=path, metavar="FILE", help=mask)
    parser.add_argument("--factor", type=count, default=2, help="of superres: pixels a side of a block; default 2")
    parser.add_argument("--blur", type=real, default=1.0, help="of deblur: deviation in pixels; default 1")
    table = "of sensors: lines of row,column or row,column,levels, in pixels"
    parser.add_argument("--sensors", type=path, metavar="FILE", help=table)
    parser.add_argument("--num_sensors", type=count, default=16, help="of sensors, at random places; default 16")
    parser.add_argument("--sampler", type=given, help="as of `sample`; default DPM-Solver++ of the reverse SDE")
    parser.add_argument("--steps", type=count, metavar="N", help="of the grid; default 50, or a named sampler's own")
    parser.add_argument("--batch_size", type=count, default=256, help="samples drawn at once, which changes none")
    average_flag(parser)
    parser.add_argument("--seed", type=seed, default=0)
    process_flags(parser)
    json_flag(parser)
