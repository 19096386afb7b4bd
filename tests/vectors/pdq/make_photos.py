#!/usr/bin/env python3
"""Makes photos.tsv: the reference's hashes of photographs in Debian packages.

    python3 -m venv VENV && VENV/bin/pip install pdqhash==0.2.8 numpy
    cargo build -p hashpact-hashing --example dump_rgb
    for each PACKAGE in packages.txt:
        apt-get download PACKAGE && dpkg-deb -x PACKAGE_*.deb PHOTOS/PACKAGE
    VENV/bin/python make_photos.py --dump-rgb PATH/TO/dump_rgb --photos PHOTOS > photos.tsv

The pixels are decoded by our own decoder, so that the table compares hashing and nothing else.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys

import pdqhash

import reference

HEADER = f"""\
# PDQ of photographs from Debian packages: must equal what {reference.BINDING} (PyPI) gives for the same pixels.
# Pixels are those of our decoder (dump_rgb), full size. A file of another package version has another sha256_of_file
# and is not compared. flag: plain | tie (blank or symmetric, see reference.py), reported apart.
# Made by make_photos.py; do not edit.
# package	path	sha256_of_file	sha256_of_rgb	width	height	flag	quality	pdq"""

# Which files of a package are photographs: what their path must match, and must not.
PHOTOGRAPHS = {
    "gnome-backgrounds": (r"\.(webp|jpg)$", r"$^"),
    "lomiri-wallpapers-16.04": (r"\.jpg$", r"$^"),
    "stellarium-data": (r"/nebulae/default/.*\.png$", r"$^"),
    "tuxpaint-stamps-default": (
        r"/stamps/(animals|food|hobbies|household|medical|military|people|plants|space|sports|town|vehicles)/.*\.png$",
        r"cartoon|/(roadsigns|flags)/|/(bee|fly|echidna|hedgehog|pizza|highlighter|tooth|eye|inukshuk-outline|rugby_goal_posts"
        r"|0_sun|6_saturn|stoplight\w*|sedan_police\w*)\.png$",
    ),
}


def photographs(folder, package):
    wanted, unwanted = map(re.compile, PHOTOGRAPHS[package])
    root = os.path.join(folder, package)
    paths = (os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names)
    return sorted(
        path for path in paths
        if wanted.search(path) and not unwanted.search(path) and not os.path.islink(os.path.join(root, path))
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--dump-rgb", required=True)
    arguments.add_argument("--photos", required=True)
    arguments = arguments.parse_args()
    reference.check_version()
    print(HEADER)
    for package in sorted(PHOTOGRAPHS):
        for path in photographs(arguments.photos, package):
            full = os.path.join(arguments.photos, package, path)
            dumped = subprocess.run([arguments.dump_rgb, full], capture_output=True, check=False)
            if dumped.returncode != 0:
                print(dumped.stderr.decode().strip(), file=sys.stderr)
                continue
            size, raw = dumped.stdout.split(b"\n", 1)
            width, height = map(int, size.split())
            image = reference.pixels(raw, width, height)
            bits, quality = pdqhash.compute(image)
            with open(full, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            fields = [package, path, digest, hashlib.sha256(raw).hexdigest(), width, height, reference.flag(image)]
            fields += [quality, reference.hexadecimal(bits)]
            print("\t".join(map(str, fields)), flush=True)


if __name__ == "__main__":
    main()
