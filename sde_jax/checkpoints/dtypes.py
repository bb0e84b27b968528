"""The types of numbers that a file of weights may hold, by the name that NumPy, PyTorch and Flax share.

NumPy knows bfloat16 and float8 by their names once ml_dtypes is loaded; safetensors asks it for them.
"""

import ml_dtypes
import numpy as np

DTYPES = {
    **{
        name: np.dtype(name)
        for name in (
            *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "complex64", "complex128"),
        )
    },
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}
