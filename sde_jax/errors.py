"""The errors that a user is meant to read."""

from numbers import Integral


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line (or one line a problem) and says what was got, what was expected and what to do. The
    command line prints it without a traceback and exits with code 2.
    """


class RunError(RuntimeError):
    """A run stopped itself rather than go on with wrong numbers.

    The message says where and why. The command line prints it without a traceback and exits with code 3.
    """


def shown(text: object, most: int = 200) -> str:
    """Return foreign text for a message: one line of at most `most` characters, with all that does not print escaped.

    Names of tensors, columns, labels, keys and files come from whoever made them: a line break or a terminal's control
    sequence in one would forge lines of ours. Letters of all languages stay as they are.
    """
    text = str(text)
    cut = text if len(text) <= most else f"{text[: most // 2]}...{text[len(text) - most // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut)


def whole(value: object, least: int, most: float = float("inf")) -> bool:
    """Return whether a value is a whole number from `least` to `most`: an int of Python or NumPy, no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most
