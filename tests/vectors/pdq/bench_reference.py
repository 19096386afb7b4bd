#!/usr/bin/env python3
"""Times the Python binding of the PDQ reference as examples/bench_pdq.rs times ours.

    python3 -m venv VENV && VENV/bin/pip install pdqhash==0.2.8 numpy
    VENV/bin/python bench_reference.py [ROUNDS]

The picture and the output format are those of the Rust example. The binding's time includes the
conversion to luma by numpy, as ours includes our own.
"""

import json
import statistics
import sys
import time

import numpy
import pdqhash

SIDE = 512


def picture():
    x, y = numpy.meshgrid(numpy.arange(SIDE), numpy.arange(SIDE))
    value = (x * y // 64 + x // 3 + (x * 7 + y * 13) % 29) % 256
    return numpy.ascontiguousarray(numpy.stack([value, 255 - value, (x + y) // 4], axis=2).astype(numpy.uint8))


def median_ms(rounds, work):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    pixels = picture()
    for name, function in [("hash_rgb", pdqhash.compute), ("variants_rgb", pdqhash.compute_dihedral)]:
        value = median_ms(rounds, lambda: function(pixels))
        print(json.dumps({"metric": f"reference.pdq.{name}.512x512.p50", "value": round(value, 3), "unit": "ms"}))


if __name__ == "__main__":
    main()
