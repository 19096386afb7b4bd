#!/usr/bin/env python3
"""Makes pictures for `cargo xtask bench hash`, and hashes them as scripts of the field do.

    python3 -m venv VENV && VENV/bin/pip install pdqhash==0.2.8 pillow numpy piexif
    VENV/bin/python bench_files.py make FOLDER COUNT
    VENV/bin/python bench_files.py hash FOLDER

`hash` prints the seconds that it took: PDQ with its eight variants, MD5, SHA-1, SHA-256, and the EXIF comment of each.
"""

import hashlib
import io
import pathlib
import sys
import time

import numpy
import pdqhash
import piexif
from PIL import Image

SIZES = [(512, 512), (768, 512), (640, 480), (1024, 768)]
SETTINGS = "a plain scene\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 0123456789, Version: v1.9.4"


def picture(nth):
    width, height = SIZES[nth % len(SIZES)]
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    value = x * y // (40 + nth % 37) + x // (2 + nth % 5) + (x * 7 + y * (13 + nth % 11)) % 29
    return numpy.stack([value % 256, 255 - value % 256, (x + y) // 4 % 256], axis=2).astype(numpy.uint8)


def make(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    comment = b"UNICODE\0" + SETTINGS.encode("utf-16-be")
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}})
    for nth in range(count):
        more = {"exif": exif} if nth % 4 == 0 else {}
        Image.fromarray(picture(nth)).save(folder / f"{nth:05}.jpg", quality=90, **more)


def hash_all(folder):
    start = time.perf_counter()
    with_comment = 0
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        for digest in (hashlib.md5, hashlib.sha1, hashlib.sha256):
            digest(data).hexdigest()
        image = Image.open(io.BytesIO(data))
        comment = image.getexif().get_ifd(0x8769).get(0x9286)
        with_comment += comment is not None
        pdqhash.compute_dihedral(numpy.asarray(image.convert("RGB")))
    assert with_comment > 0
    print(time.perf_counter() - start)


if sys.argv[1] == "make":
    make(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
else:
    hash_all(pathlib.Path(sys.argv[2]))
