"""Writes the model files of this folder and what independent programs say about them.

    python generate.py                 writes types.safetensors, quants.gguf, golden.txt
    python generate.py --packages DIR  writes golden-packages.txt from the unpacked packages of packages.txt in DIR

Nothing of Hashpact is used: digests come from hashlib, zlib and the package blake3; values from safetensors, ml_dtypes
and gguf (whose quants are a numpy implementation of their own), and, for PyTorch archives, from Python's own pickle
with an allow-list; sketches from the definition, in doubles. Needs numpy, ml_dtypes, safetensors, gguf, blake3.

golden.txt has lines `FILE NAME VALUE`; names are identifiers, `tset1`, `tile:N` for the bits of the N-th tile in the
order of the file, and `rows:N`, `columns:N` for its shape.
"""

import collections
import hashlib
import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile
import zlib

import blake3
import gguf
import ml_dtypes
import numpy as np

HERE = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1


def splitmix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def slots(seed, count):
    values = [splitmix(seed ^ ((i * 0xD1342543DE82EF95) & MASK)) for i in range(count)]
    buckets = np.array([v & 255 for v in values], dtype=np.int64)
    return buckets, np.array([1.0 if v >> 63 else -1.0 for v in values])


def bits(tile):
    rows, columns = tile.shape
    row_buckets, row_signs = slots(0x4853433157534B52, rows)
    column_buckets, column_signs = slots(0x4853433157534B43, columns)
    place = (row_buckets[:, None] + column_buckets[None, :]) % 256
    y = np.zeros(256)
    np.add.at(y, place, row_signs[:, None] * column_signs[None, :] * (tile - tile.mean()))
    return np.packbits(y > 0).tobytes().hex()


def tiles(shape, values):
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2 or values.size < 4096:
        return
    matrix = values.astype(np.float64).reshape(shape[0], -1)
    rows, columns = matrix.shape
    if matrix.size < 4096 or min(rows, columns) < 16:
        return
    if rows % columns == 0 and 2 <= rows // columns <= 16:
        yield from np.split(matrix, rows // columns, axis=0)
    elif columns % rows == 0 and 2 <= columns // rows <= 16:
        yield from np.split(matrix, columns // rows, axis=1)
    else:
        yield matrix


def tensor_digest(shape, values, raw):
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    digest = hashlib.sha256(b"".join(struct.pack("<Q", side) for side in shape))
    if values is None:
        digest.update(raw[0].encode() + raw[1])
    else:
        with np.errstate(over="ignore"):
            digest.update(values.astype("<f4").tobytes())
    return digest.digest()


def describe(name, data, tensors, body=None):
    """`tensors`: (shape, values or None, (type, raw bytes)) in the order of the file."""
    sha = hashlib.sha256(data).hexdigest()
    lines = [("sha256", sha), ("autov2", sha[:10]), ("ti", sha[:12]), ("size_bytes", str(len(data)))]
    lines += [("crc32", f"{zlib.crc32(data):08x}"), ("blake3", blake3.blake3(data).hexdigest())]
    if len(data) > 0x100000:
        lines.append(("autov1", hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]))
    if body is not None:
        digest = hashlib.sha256(data[body:]).hexdigest()
        lines += [("st_body", digest), ("autov3", digest[:12])]
    digests = sorted(tensor_digest(*tensor) for tensor in tensors)
    lines.append(("tset1", hashlib.sha256(b"hashpact/tset/v1\0" + b"".join(digests)).hexdigest()))
    nth = 0
    for shape, values, _ in tensors:
        for tile in tiles(shape, values) if values is not None else ():
            lines += [(f"tile:{nth}", bits(tile)), (f"rows:{nth}", tile.shape[0]), (f"columns:{nth}", tile.shape[1])]
            nth += 1
    return [f"{name} {key} {value}" for key, value in lines]


FLOATS = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}


def safetensors_parts(data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = 8 + length
    tensors = []
    for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
        start, end = entry["data_offsets"]
        raw = data[body + start : body + end]
        kind = entry["dtype"]
        values = np.frombuffer(raw, FLOATS[kind]).astype(np.float64) if kind in FLOATS else None
        tensors.append((entry["shape"], values, (kind, raw)))
    return body, tensors


def types(generator):
    """A tensor of every type, some cut into tiles, some too small."""
    shapes = {"F64": [48, 90], "F32": [2, 2, 4096], "F16": [3, 64, 64], "BF16": [64, 128, 1, 1]}
    entries, data = {"__metadata__": {"format": "pt"}}, b""

    def add(name, kind, shape, raw):
        nonlocal data
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw

    for kind, dtype in FLOATS.items():
        shape = shapes.get(kind, [32, 160])
        values = (generator.standard_normal(shape) * 0.5 + 0.05).astype(dtype)
        add(f"float.{kind}", kind, shape, values.tobytes())
    add("fused", "F16", [192, 64], (generator.standard_normal(192 * 64) * 0.02).astype("<f2").tobytes())
    for kind, dtype in [("I64", "<i8"), ("I32", "<i4"), ("I16", "<i2"), ("I8", "i1"), ("U8", "u1"), ("BOOL", "?")]:
        values = generator.integers(0, 2, 12).astype(dtype)
        add(f"integer.{kind}", kind, [3, 4], values.tobytes())
    add("one", "F32", [], np.float32(0.25).tobytes())
    add("none", "F32", [0, 7], b"")
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def quants(generator, path):
    """A tensor of every type of GGUF that is decoded."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc"])
    kinds = gguf.GGMLQuantizationType
    for kind in [kinds.F32, kinds.F16, kinds.BF16, kinds.Q8_0, kinds.Q4_0, kinds.Q4_1, kinds.Q5_0, kinds.Q5_1]:
        values = (generator.standard_normal((16, 256)) * 0.1).astype(np.float32)
        writer.add_tensor(f"t.{kind.name}", gguf.quants.quantize(values, kind), raw_dtype=kind)
    # Of the K types there is no quantiser in Python: any block is a block, so long as its scales are finite.
    for kind, scales in [(kinds.Q2_K, [80, 82]), (kinds.Q3_K, [108]), (kinds.Q4_K, [0, 2]), (kinds.Q5_K, [0, 2]), (kinds.Q6_K, [208])]:
        _, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        blocks = generator.integers(0, 256, (16, block_bytes)).astype(np.uint8)
        for at in scales:
            blocks[:, at : at + 2] = generator.uniform(0.001, 0.02, 16).astype("<f2").view(np.uint8).reshape(16, 2)
        writer.add_tensor(f"t.{kind.name}", blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_parts(path):
    reader = gguf.GGUFReader(path)
    tensors = []
    for tensor in sorted(reader.tensors, key=lambda tensor: tensor.data_offset):
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        shape = [int(side) for side in reversed(tensor.shape)]
        tensors.append((shape, values.astype(np.float32).reshape(-1), None))
    return tensors


class Storage(pickle.Unpickler):
    """Python's own unpickler with nothing to call but these."""

    def __init__(self, archive, prefix):
        super().__init__(io.BytesIO(archive.read(f"{prefix}data.pkl")))
        self.archive, self.prefix = archive, prefix

    def find_class(self, module, name):
        known = {"FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "DoubleStorage": "<f8"}
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: np.lib.stride_tricks.as_strided(
                storage[offset:], size, [s * storage.itemsize for s in stride]
            )
        if module == "torch" and name in known:
            return known[name]
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid):
        return np.frombuffer(self.archive.read(f"{self.prefix}data/{pid[2]}"), pid[1])


def torch_parts(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    found = Storage(archive, name[: -len("data.pkl")]).load()
    kinds = {"<i8": "I64"}
    tensors = []
    for tensor in found.values():
        raw = np.ascontiguousarray(tensor)
        if raw.dtype.kind == "f":
            tensors.append((list(tensor.shape), raw.astype(np.float64).reshape(-1), None))
        else:
            tensors.append((list(tensor.shape), None, (kinds[raw.dtype.str], raw.tobytes())))
    return tensors


def main():
    if sys.argv[1:2] == ["--packages"]:
        lines = []
        for path in (HERE / "packages.txt").read_text().split("\n"):
            if path and not path.startswith("#"):
                package, inner = path.split()
                data = (pathlib.Path(sys.argv[2]) / inner).read_bytes()
                if inner.endswith(".safetensors"):
                    body, tensors = safetensors_parts(data)
                else:
                    body, tensors = None, torch_parts(data)
                # The order of an archive is that of its pickle here and that of its members there.
                if body is None:
                    lines += [line for line in describe(inner, data, tensors) if ":" not in line]
                else:
                    lines += describe(inner, data, tensors, body)
        (HERE / "golden-packages.txt").write_text("\n".join(lines) + "\n")
        return
    generator = np.random.default_rng(20260101)
    data = types(generator)
    (HERE / "types.safetensors").write_bytes(data)
    body, tensors = safetensors_parts(data)
    lines = describe("types.safetensors", data, tensors, body)
    quants(generator, HERE / "quants.gguf")
    lines += describe("quants.gguf", (HERE / "quants.gguf").read_bytes(), gguf_parts(HERE / "quants.gguf"))
    (HERE / "golden.txt").write_text("\n".join(lines) + "\n")


main()
