"""The peers of `cargo xtask bench index`: FAISS and threatexchange, driven line by line.

Requests come on standard input, one line each; every answer is one line of JSON on standard output.

    versions
    load NAME FILE                           fills an index; NAME is flat, multihash or pdqindex
    singles NAME START COUNT FILE            queries one after another, on one thread
    batch NAME START COUNT THREADS FILE      queries in one call

Files hold 32-byte values and nothing else. The radius is 31 everywhere: FAISS's range_search wants distances
*below* its argument, so it is given 32; PDQIndex has 31 built in. Each call is timed from Python: that adds about
a microsecond, which does not matter at milliseconds. Preparing a query (an array of one row, a text of 64 digits)
happens before its time starts.
"""

import json
import sys
import time

import faiss
import numpy
from threatexchange.signal_type.pdq.pdq_index import PDQIndex

RADIUS = 31
BLOCK = 1 << 20


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def values(file, start=0, count=-1):
    return numpy.fromfile(file, dtype=numpy.uint8, count=count if count < 0 else 32 * count, offset=32 * start).reshape(-1, 32)


def blocks(file):
    start = 0
    while len(block := values(file, start, BLOCK)):
        yield block
        start += len(block)


class Faiss:
    def __init__(self, index):
        self.index = index

    def fill(self, file):
        for block in blocks(file):
            self.index.add(block)

    def prepare(self, rows):
        return [row.reshape(1, 32) for row in rows]

    def single(self, query):
        limits, _, _ = self.index.range_search(query, RADIUS + 1)
        return int(limits[-1])

    def batch(self, rows):
        self.index.range_search(rows, RADIUS + 1)


class Flat(Faiss):
    def __init__(self):
        super().__init__(faiss.IndexBinaryFlat(256))


class MultiHash(Faiss):
    def __init__(self):
        super().__init__(faiss.IndexBinaryMultiHash(256, 16, 16))
        self.index.nflip = 1


class Pdq:
    """As a user of threatexchange would: values as texts of 64 digits, with an entry each."""

    def __init__(self):
        self.index = PDQIndex()

    def fill(self, file):
        record = 0
        entries = []
        for block in blocks(file):
            for row in block:
                entries.append((row.tobytes().hex(), record))
                record += 1
        self.index.add_all(entries)

    def prepare(self, rows):
        return [row.tobytes().hex() for row in rows]

    def single(self, query):
        return len(self.index.query(query))

    def batch(self, rows):
        # PDQIndex itself takes one value a call; the index that it wraps takes many.
        self.index.index.search_with_distance_in_result(self.prepare(rows), RADIUS)


KINDS = {"flat": Flat, "multihash": MultiHash, "pdqindex": Pdq}
indexes = {}


def load(name, file):
    before = resident_bytes()
    start = time.perf_counter()
    index = KINDS[name]()
    index.fill(file)
    indexes[name] = index
    return {"seconds": time.perf_counter() - start, "resident_bytes": resident_bytes() - before}


def singles(name, start, count, file):
    faiss.omp_set_num_threads(1)
    index = indexes[name]
    nanoseconds, hits = [], []
    for query in index.prepare(values(file, int(start), int(count))):
        begin = time.perf_counter_ns()
        found = index.single(query)
        nanoseconds.append(min(time.perf_counter_ns() - begin, 2**32 - 1))
        hits.append(found)
    return {"nanoseconds": nanoseconds, "hits": hits}


def batch(name, start, count, threads, file):
    faiss.omp_set_num_threads(int(threads))
    rows = values(file, int(start), int(count))
    begin = time.perf_counter()
    indexes[name].batch(rows)
    return {"seconds": time.perf_counter() - begin}


def versions():
    from importlib.metadata import version

    packages = ["faiss-cpu", "threatexchange", "numpy"]
    return {"versions": ", ".join(f"{name} {version(name)}" for name in packages)}


COMMANDS = {"load": (load, 2), "singles": (singles, 4), "batch": (batch, 5), "versions": (versions, 0)}

for line in sys.stdin:
    # The file's name comes last and may hold spaces.
    command, *rest = line.rstrip("\n").split(" ", 1)
    function, arguments = COMMANDS[command]
    answer = function(*(rest[0].split(" ", arguments - 1) if rest else []))
    print(json.dumps(answer), flush=True)
