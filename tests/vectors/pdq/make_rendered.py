#!/usr/bin/env python3
"""Makes rendered.tsv: the reference's hashes of pictures that our own code renders.

    python3 -m venv VENV && VENV/bin/pip install pdqhash==0.2.8 numpy
    cargo run -p hashpact-hashing --example dump_rendered > PIXELS
    VENV/bin/python make_rendered.py PIXELS > rendered.tsv
"""

import hashlib
import sys

import pdqhash

import reference

HEADER = f"""\
# PDQ of pictures rendered by client/hashing/tests/pictures: must equal what {reference.BINDING} (PyPI) gives.
# flag: plain | tie (blank or symmetric, see reference.py) | small (a side under 5 pixels: zero hash, quality 0).
# pdq and quality are from compute(); variants, in the order of VARIANT_NAMES, from compute_dihedral().
# Made by make_rendered.py; do not edit.
# kind	width	height	sha256_of_rgb	flag	quality	pdq	variants"""


def main():
    reference.check_version()
    print(HEADER)
    with open(sys.argv[1], "rb") as source:
        while line := source.readline():
            kind, width, height = line.decode().split()
            width, height = int(width), int(height)
            raw = source.read(width * height * 3)
            image = reference.pixels(raw, width, height)
            bits, quality = pdqhash.compute(image)
            variants, dihedral_quality = pdqhash.compute_dihedral(image)
            if quality != dihedral_quality:
                raise SystemExit(f"{kind} {width} {height}: qualities {quality} and {dihedral_quality}")
            fields = [kind, width, height, hashlib.sha256(raw).hexdigest(), reference.flag(image), quality]
            fields += [reference.hexadecimal(bits), ",".join(map(reference.hexadecimal, variants))]
            print("\t".join(map(str, fields)))


if __name__ == "__main__":
    main()
