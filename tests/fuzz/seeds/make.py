#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets: one small file of each kind that is read. Python's standard library only."""

import io
import json
import pathlib
import struct
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent


def write(folder, name, data):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(data)


def finite(count):
    """Bytes of floats with small exponents: a value that is not finite has no sketch."""
    return bytes((7 * i * i + 3 * i) % 60 for i in range(count))


def safetensors(tensors):
    header, data = {"__metadata__": {"sshs_model_hash": "ab" * 32, "ss_sd_model_hash": "0123abcd"}}, b""
    for name, kind, shape, width in tensors:
        count = 1
        for side in shape:
            count *= side
        raw = finite(count * width)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# Tensors of fewer values than 4096 have no sketch. GGUF: number of the type, values and bytes of a block.
QUANTS = {
    "f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22), "q5_1": (7, 32, 24),
    "q8_0": (8, 32, 34), "q2_k": (10, 256, 84), "q3_k": (11, 256, 110), "q4_k": (12, 256, 144), "q5_k": (13, 256, 176),
    "q6_k": (14, 256, 210), "iq4_nl": (20, 32, 18), "bf16": (30, 1, 2),
}


def quantised(kind):
    number, values, width = QUANTS[kind]
    row = max(values, 128)
    rows = 8192 // row
    count = rows * row // values * width
    data = finite(count)
    string = lambda value: struct.pack("<Q", len(value)) + value
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + string(b"general.alignment") + struct.pack("<II", 4, 32)
    head += string(b"w") + struct.pack("<IQQIQ", 2, row, rows, number, 0)
    return head + b"\0" * (-len(head) % 32) + data


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def pickle():
    view = text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nHalfStorage\n" + text("0")
    view += text("cpu") + b"M\x00\x10tQK\x00K\x40K\x40\x86K\x40K\x01\x86\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}q\x00" + text("state_dict") + b"}q\x01(" + view + text("n") + b"K\x05us."


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        for name, data in [("m/data.pkl", pickle()), ("m/byteorder", b"little"), ("m/data/0", finite(8192))]:
            members.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


A1111 = (
    "a plain scene\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 0123456789, "
    'Lora hashes: "a: 0123456789ab", Hashes: {"model": "0123456789", "embed:b": "ba9876543210"}, Version: v1.9.4'
)
COMFY = json.dumps({"3": {"class_type": "KSampler", "inputs": {"steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal"}}})
SWARM = json.dumps({"sui_image_params": {"steps": 20, "swarm_version": "0.9.3"}, "sui_models": [{"param": "model", "hash": "0x" + "ab" * 32}]})
EASY = json.dumps({"use_stable_diffusion_model": "a", "num_inference_steps": 25, "guidance_scale": 7.5, "sampler_name": "euler_a"})
NOVEL = json.dumps({"Software": "NovelAI", "Comment": json.dumps({"steps": 28, "scale": 5, "sampler": "k_euler", "noise_schedule": "karras"})})
TENSOR = json.dumps({"steps": 25, "cfgScale": 7, "clipSkip": 2, "baseModel": {"hash": "ab" * 32}, "models": [{"type": "LORA", "hash": "0123456789"}]})
DRAWN = (
    "<xmp:CreatorTool>Draw Things</xmp:CreatorTool><exif:UserComment><rdf:li>{&quot;c&quot;:&quot;a&#xA;b&quot;,"
    '"sampler":"DPM++ 2M AYS","scale":4.5,"size":"64x32","steps":8,"strength":0.7}</rdf:li></exif:UserComment>'
    '<x DigitalSourceType="print"/>'
)
XMP = b"<x>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia</x>"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + b"\0\0\0\0"


def exif():
    comment = b"UNICODE\0" + A1111.encode("utf-16-be")
    make = b"prompt:" + COMFY.encode() + b"\0"
    entry = lambda tag, kind, count, value: struct.pack(">HHII", tag, kind, count, value)
    head = b"MM\0*" + struct.pack(">IH", 8, 2) + entry(0x010F, 2, len(make), 56) + entry(0x8769, 4, 1, 38) + b"\0\0\0\0"
    return head + struct.pack(">H", 1) + entry(0x9286, 7, len(comment), 56 + len(make)) + b"\0\0\0\0" + make + comment


def main():
    lora = [("a.lora_up.weight", "F16", [64, 2], 2), ("a.lora_down.weight", "F16", [2, 64], 2), ("a.alpha", "F32", [], 4)]
    loha = [(f"b.hada_w{n}_{p}", "F8_E4M3", s, 1) for n in (1, 2) for p, s in (("a", [64, 2]), ("b", [2, 64]))]
    write("models", "lora.safetensors", safetensors(lora + loha))
    write("models", "full.safetensors", safetensors([("w", "F8_E5M2", [48, 96], 1), ("n", "I64", [3], 8)]))
    write("models", "inversion.safetensors", safetensors([("emb_params", "BF16", [2, 256], 2)]))
    write("models", "archive.pt", archive())
    for kind, width in [("F32", 4), ("F16", 2), ("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("F8_E8M0", 1), ("U8", 1)]:
        write("models", f"{kind.lower()}.safetensors", safetensors([("w", kind, [64, 64], width)]))
    for kind in QUANTS:
        write("models", f"{kind}.gguf", quantised(kind))
    write("pickle", "tensor.pkl", pickle())
    write("models", "index.json", json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}).encode())
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 480, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"tEXt", b"parameters\0" + A1111.encode())
    png += chunk(b"zTXt", b"prompt\0\0" + zlib.compress(COMFY.encode()))
    png += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) + chunk(b"eXIf", exif()) + chunk(b"caBX", b"jumb c2pa") + chunk(b"IEND", b"")
    write("genmeta", "all.png", png)
    segment = lambda marker, data: b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data
    jpeg = b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif()) + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    write("genmeta", "all.jpg", jpeg + segment(0xEB, b"JP\0\1\0\0\0\1jumbc2pa") + segment(0xFE, A1111.encode()) + segment(0xDA, b"\1"))
    riff = lambda kind, data: kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    body = b"WEBP" + riff(b"VP8X", bytes(10)) + riff(b"EXIF", exif()) + riff(b"XMP ", XMP) + riff(b"C2PA", b"jumb")
    write("genmeta", "all.webp", b"RIFF" + struct.pack("<I", len(body)) + body)
    for name, value in [("a1111.txt", A1111), ("comfy.json", COMFY), ("swarm.json", SWARM), ("easy.json", EASY), ("novel.json", NOVEL), ("tensor.json", TENSOR), ("drawn.xml", DRAWN)]:
        write("settings", name, value.encode())


main()
