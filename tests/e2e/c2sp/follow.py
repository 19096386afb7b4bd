"""A monitor that knows nothing but the C2SP specifications: follows logs over HTTP, checks proofs, asks witnesses.

    follow.py monitor PREFIX POLICY STATE     one round: fetches, verifies, and remembers in STATE
    follow.py roster PREFIX LEAST VKEY...     a log that LEAST of these keys must sign, each under its own name
    follow.py proof FILE POLICY               verifies a tlog-proof
    follow.py witness PREFIX POLICY NAME URL  has the witness NAME at URL cosign the log at PREFIX

A token for HTTP, if one is needed, is in the variable TOKEN. Prints one JSON object; exits with 1 and the rule when
something is not as specified.
"""
import gzip
import hashlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request

import formats as c2sp
from formats import Refused, need


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        if headers.get("Content-Encoding") == "gzip":
            self.body = gzip.decompress(body)

    def __str__(self):
        return f"{self.status} {self.headers.get('Content-Type')} {self.body[:200]!r}"


def call(url, body=None):
    headers = {"Accept-Encoding": "gzip, identity"}
    if os.environ.get("TOKEN"):
        headers["Authorization"] = "Bearer " + os.environ["TOKEN"]
    # No type for a body: the specification names none, and the library's own default must do.
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def max_age(answer):
    found = re.search(r"max-age=([0-9]+)", answer.headers.get("Cache-Control", ""))
    return int(found.group(1)) if found else 0


class Log:
    """The tlog-tiles client of one log."""

    def __init__(self, prefix):
        self.prefix = prefix

    def checkpoint(self):
        answer = call(self.prefix + "/checkpoint")
        need(answer.status == 200, f"checkpoint: {answer}")
        need(answer.headers["Content-Type"] == "text/plain; charset=utf-8", f"checkpoint: {answer}")
        caching = answer.headers.get("Cache-Control", "")
        need("no-store" in caching or "no-cache" in caching or max_age(answer) < 10, f"cached: {caching}")
        return answer.body

    def resource(self, level, index, width):
        name = f"{index % 1000:03}"
        while index >= 1000:
            index //= 1000
            name = f"x{index % 1000:03}/{name}"
        path = f"/tile/{level}/{name}" + (f".p/{width}" if width < 256 else "")
        answer = call(self.prefix + path)
        need(answer.status == 200, f"{path}: {answer}")
        need(answer.headers["Content-Type"] == "application/octet-stream", f"{path}: {answer}")
        caching = answer.headers.get("Cache-Control", "")
        if width == 256:
            need(max_age(answer) >= 86400 and "immutable" in caching, f"{path}: {caching}")
        return answer.body

    def entries(self, size):
        """All entries; each bundle is whole, and nothing follows in it."""
        entries = []
        for index in range((size + 255) // 256):
            width = min(256, size - 256 * index)
            rest, count = self.resource("entries", index, width), 0
            while rest:
                length = int.from_bytes(rest[:2], "big")
                need(len(rest) >= 2 + length, "an entry that broke off")
                entries.append(rest[2 : 2 + length])
                rest, count = rest[2 + length :], count + 1
            need(count == width, f"{count} entries in a bundle of {width}")
        return entries

    def check_tiles(self, hashes):
        """Every tile of every level holds what the leaves lead to, and no other tile is there."""
        level = 0
        while hashes:
            for index in range((len(hashes) + 255) // 256):
                part = hashes[256 * index : 256 * index + 256]
                need(self.resource(level, index, len(part)) == b"".join(part), f"tile {level}/{index}")
            hashes = [c2sp.root_of(hashes[at : at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
            level += 1
        need(call(f"{self.prefix}/tile/{level}/000.p/1").status == 404, "an empty tile is served")

    def check(self, size, root):
        """The entries below a signed size, their hashes, and all tiles against them."""
        entries = self.entries(size)
        hashes = [c2sp.leaf_hash(entry) for entry in entries]
        need(c2sp.root_of(hashes) == root, "the entries do not hash to the signed root")
        self.check_tiles(hashes)
        return entries, hashes


def monitor(prefix, policy, state):
    log, policy = Log(prefix), c2sp.Policy(open(policy).read())
    data = log.checkpoint()
    note, size, root = c2sp.open_checkpoint(data, policy.log(data.decode().split("\n")[0]))
    _, hashes = log.check(size, root)
    before = json.load(open(state)) if os.path.exists(state) else {"size": 0, "root": c2sp.root_of([]).hex()}
    need(before["size"] <= size, "the log shrank")
    old = before["size"]
    proof = c2sp.consistency_of(old, hashes) if 0 < old < size else []
    c2sp.check_consistency(old, size, bytes.fromhex(before["root"]), root, proof)
    # Tiles of a size for which there was a checkpoint stay, or the full one has replaced them.
    if old % 256 and call(f"{prefix}/tile/0/{old // 256:03}.p/{old % 256}").status != 200:
        log.resource(0, old // 256, 256)
    now = {"size": size, "root": root.hex()}
    json.dump(now, open(state, "w"))
    return {**now, "from": old, "quorum": policy.has_quorum(note)}


def roster(prefix, least, *vkeys):
    log = Log(prefix)
    note = c2sp.Note(log.checkpoint())
    origin, size, root = c2sp.read_checkpoint(note.text)
    keys = [c2sp.Key.parse(vkey) for vkey in vkeys]
    signed = [key for key in keys if any(line[:2] == (key.name, key.id) for line in note.lines)]
    for key in signed:
        note.signed_by(key)
    need(len({key.key for key in signed}) >= int(least), f"{len(signed)} of the keys signed")
    entries, _ = log.check(size, root)
    digests = [hashlib.sha256(entry).hexdigest() for entry in entries]
    return {"origin": origin, "size": size, "root": root.hex(), "digests": digests}


def proof(path, policy):
    extra, index, hashes, checkpoint = c2sp.read_proof(open(path, "rb").read())
    policy = c2sp.Policy(open(policy).read())
    note, size, root = c2sp.open_checkpoint(checkpoint, policy.log(checkpoint.decode().split("\n")[0]))
    need(extra is not None, "nothing that is proven")
    c2sp.check_inclusion(c2sp.leaf_hash(extra[:136]), index, size, hashes, root)
    return {"index": index, "size": size, "leaf": extra[:136].hex(), "quorum": policy.has_quorum(note)}


def witness(prefix, policy, name, url):
    log, policy = Log(prefix), c2sp.Policy(open(policy).read())
    data = log.checkpoint()
    note, size, root = c2sp.open_checkpoint(data, policy.log(data.decode().split("\n")[0]))
    _, hashes = log.check(size, root)
    # A witness that was never asked by us says where it is.
    old = ask(url, 0, [], data)
    if old.status != 200:
        need(old.status == 409 and old.headers["Content-Type"] == "text/x.tlog.size", f"from nothing: {old}")
        need(old.body.endswith(b"\n"), f"{old}")
        held = c2sp.decimal(old.body[:-1].decode())
        need(held <= size, "the witness is ahead of the log")
        for _ in range(100):
            old = ask(url, held, c2sp.consistency_of(held, hashes) if 0 < held < size else [], data)
            if old.status != 503:
                break
            need(int(old.headers["Retry-After"]) >= 0, "503 without Retry-After")
            time.sleep(0.2)
        else:
            raise Refused("the witness never held the leaves")
        need(old.status == 200, f"from {held}: {old}")
    else:
        held = 0
    need(ask(url, size + 1, [], data).status == 400, "an old size above the checkpoint's")
    need(ask(url, size, [], data.replace(b"\n" + str(size).encode(), b"\n9")).status in (403, 409), "unsigned")
    forged = c2sp.Note(note.text.encode() + b"\n" + old.body)
    key = policy.witnesses[name]
    return {"held": held, "size": size, "time": forged.signed_by(key)}


def ask(url, old, hashes, checkpoint):
    lines = "".join(c2sp.base64.b64encode(hash_).decode() + "\n" for hash_ in hashes)
    body = f"old {old}\n{lines}\n".encode() + checkpoint
    c2sp.read_ask(body)
    return call(url + "/add-checkpoint", body)


if __name__ == "__main__":
    commands = {"monitor": monitor, "roster": roster, "proof": proof, "witness": witness}
    try:
        print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
    except Refused as refused:
        sys.exit(f"{' '.join(sys.argv[1:3])}: {refused}")
