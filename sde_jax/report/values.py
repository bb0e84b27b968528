"""How a measured number is written: with the digits that its error supports."""

import math


def value_text(value: float, standard_error: float | None = None) -> str:
    """The value to the two digits that its standard error supports, such as "3.412 ± 0.012"; without one, to four."""
    if not standard_error or standard_error <= 0:
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    digits = error_digits(standard_error)
    return f"{value:.{digits}f} ± {standard_error:.{digits}f}"


def error_digits(error: float) -> int:
    """Decimals of the second digit of an error > 0, from 0 to 8."""
    return min(8, max(0, 1 - math.floor(math.log10(error))))


def count_text(count: float) -> str:
    """A count as people read it: 50,000; a mean of counts below 100 keeps a decimal."""
    return f"{count:,.0f}" if count == int(count) or count >= 100 else f"{count:.1f}"
