"""The errors that a user is meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line (or one line a problem) and says what was got, what was expected and what to do. The
    command line prints it without a traceback and exits with code 2.
    """


class RunError(RuntimeError):
    """A run stopped itself rather than go on with wrong numbers.

    The message says where and why. The command line prints it without a traceback and exits with code 3.
    """
