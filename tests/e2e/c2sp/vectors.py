"""Checks the vectors of every C2SP format with formats.py: python3 vectors.py <folder of the vectors>."""
import os
import sys

import formats as c2sp
from formats import Refused, need


def read(path):
    head, _, body = open(path, "rb").read().partition(b"\n----\n")
    return dict(line[2:].split(": ", 1) for line in head.decode().split("\n")), body


def values(body, key):
    lines = [line.split(" ") for line in body.decode().split("\n") if " " in line]
    return [line[1] for line in lines if line[0] == key]


def hexes(body, key):
    return [bytes.fromhex(value) for value in values(body, key)]


def note(head, body):
    kind = head["kind"]
    if kind == "public-key":
        text = body.decode().strip()
        need(text == text.lower() and len(text) == 64, "not 64 lower-case digits")
        c2sp.public_key(bytes.fromhex(text))
    elif kind == "vkey":
        c2sp.Key.parse(body.decode().strip())
    elif kind == "checkpoint":
        c2sp.open_checkpoint(body, c2sp.Key.parse(head["key"]))
    else:
        time = c2sp.Note(body).signed_by(c2sp.Key.parse(head["key"]))
        need(kind == "note" or str(time) == head.get("time"), "another time")


def merkle(head, body):
    if head["kind"] == "roots":
        entries = hexes(body, "entry")
        hashes = [c2sp.leaf_hash(entry) for entry in entries]
        roots = [c2sp.root_of(hashes[: size + 1]) for size in range(len(hashes))]
        need(roots == hexes(body, "root"), "other roots")
    elif head["kind"] == "inclusion":
        leaf, root = hexes(body, "leaf")[0], hexes(body, "root")[0]
        index, size = int(values(body, "index")[0]), int(values(body, "size")[0])
        c2sp.check_inclusion(leaf, index, size, hexes(body, "hash"), root)
    else:
        old, new = int(values(body, "old")[0]), int(values(body, "new")[0])
        roots = hexes(body, "old_root")[0], hexes(body, "new_root")[0]
        c2sp.check_consistency(old, new, *roots, hexes(body, "hash"))


def proof(head, body):
    extra, index, hashes, checkpoint = c2sp.read_proof(body)
    key = c2sp.Key.parse(head["key"])
    need(key.name == head["origin"], "a key of another log")
    _, size, root = c2sp.open_checkpoint(checkpoint, key)
    need(extra is not None, "nothing that is proven")
    # What is beside the leaf is the application's: here, whether it is what the leaf commits to.
    leaf = extra
    if len(extra) > 168:
        try:
            c2sp.check_inclusion(c2sp.leaf_hash(extra[:136]), index, size, hashes, root)
            leaf = extra[:136]
        except Refused:
            pass
    c2sp.check_inclusion(c2sp.leaf_hash(leaf), index, size, hashes, root)
    if head["expect"] == "reject":
        need(head["rule"] != "Payload", "what the leaf commits to is not read here")


def witness(head, body):
    old, hashes, checkpoint = c2sp.read_ask(body)
    key = c2sp.Key.parse(head["key"])
    _, size, root = c2sp.open_checkpoint(checkpoint, key)
    need(old <= size, "the old size is above the new one")
    words = head["cosigned"].split(" ")
    held, held_root = (0, c2sp.root_of([])) if words == ["none"] else (int(words[0]), bytes.fromhex(words[1]))
    need(old == held, "conflict")
    c2sp.check_consistency(old, size, held_root, root, hashes)


AREAS = {"notes": note, "merkle": merkle, "proofs": proof, "witness": witness}


def main(folder):
    wrong = 0
    for area, check in AREAS.items():
        names = sorted(os.listdir(os.path.join(folder, area)))
        verdicts = {"accept": 0, "reject": 0}
        for name in names:
            head, body = read(os.path.join(folder, area, name))
            try:
                check(head, body)
                verdict, why = "accept", ""
            except Refused as refused:
                verdict, why = "reject", str(refused)
            verdicts[verdict] += 1
            if verdict != head["expect"]:
                wrong += 1
                print(f"{area}/{name}: {verdict} ({why}), expected {head['expect']}: {head['reason']}")
        print(f"{area}: {verdicts['accept']} accepted, {verdicts['reject']} refused")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1])
