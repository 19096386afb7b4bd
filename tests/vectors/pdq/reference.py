"""The Python binding of the PDQ reference, as the two vector tools use it.

Needs pdqhash 0.2.8 (x86-64 wheel: built without fused multiply-add) and numpy.
"""

from importlib.metadata import version

import numpy
import pdqhash

BINDING = "pdqhash 0.2.8"

# Coefficients nearer to the median than this are told from it by rounding alone.
TIE_MARGIN = 1e-4


def check_version():
    found = version("pdqhash")
    if f"pdqhash {found}" != BINDING:
        raise SystemExit(f"these vectors are made by {BINDING}, this is pdqhash {found}")


def hexadecimal(bits):
    """The binding gives 256 numbers, most significant first, as in the reference's text form."""
    return numpy.packbits(numpy.asarray(bits, dtype=numpy.uint8)).tobytes().hex()


def pixels(raw, width, height):
    return numpy.frombuffer(raw, dtype=numpy.uint8).reshape(height, width, 3).copy()


def flag(image):
    """`tie` if a coefficient other than the median is within rounding of it, else `plain`.

    Such are blank and symmetric pictures. Builds of the reference with fused multiply-add give
    other bits for them; ours follows the builds without.
    """
    if min(image.shape[:2]) < 5:
        return "small"
    coefficients = numpy.sort(pdqhash.compute_float(image)[0].astype(numpy.float64))
    near = numpy.abs(coefficients - coefficients[127]) <= TIE_MARGIN
    return "tie" if near.sum() > 1 else "plain"
