"""The flags of `data`."""

import argparse

from sde_jax.cli.shared_flags import EXIT_CODES, json_flag
from sde_jax.cli.values import count, given, path


def data_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to `data`."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (purpose, add_flags) in DATA_ACTIONS.items():
        action = commands.add_parser(name, help=purpose, description=purpose, epilog=EXIT_CODES, allow_abbrev=False)
        where = "a folder or zip of images, an array (.npy, .npz), a table (.csv, .parquet), or prepared data"
        action.add_argument("path", nargs="?", metavar="PATH", help=f"{where}; --config.data.name=value for settings")
        action.add_argument("--config", type=given, help="in place of PATH, a config file whose data are meant")
        add_flags(action)
        json_flag(action)


def _inspect(parser: argparse.ArgumentParser) -> None:
    written = (
        "picture and JSON to write, without ending, never over a file; default NAME_inspected here, NAME the data's"
    )
    parser.add_argument("--exact", action="store_true", help="the exact largest distance, however long it takes")
    parser.add_argument("--output", type=path, help=written)


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=path, required=True, help="the folder: new, empty, or of this preparation")
    parser.add_argument("--shards", type=count, help="files of the training split; default one for 128 MiB")
    parser.add_argument("--size", type=count, help="images of this height and width, as --config.data.size")


DATA_ACTIONS = {
    "inspect": (
        "what data are, what noise suits them, and whether anything is wrong (exit code 1, where they can be read)",
        _inspect,
    ),
    "prepare": ("convert data into array_record files, or go on with that", _prepare),
}
