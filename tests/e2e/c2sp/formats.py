"""The C2SP formats as their specifications have them, read strictly, with nothing but Python's library.

signed-note, tlog-checkpoint, tlog-cosignature (Ed25519), tlog-proof, tlog-policy, tlog-witness and the hashes of
RFC 6962. It shares no code with the program under test: if both were wrong in the same way, they would be so
twice. Every function that reads raises Refused with the rule that was broken.
"""
import base64
import hashlib
import re

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1)


class Refused(Exception):
    """Input that breaks a rule."""


def need(condition, rule):
    if not condition:
        raise Refused(rule)


# ---- Ed25519 (RFC 8032, affine points: slow and plain)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P)
    return x % P, y % P


def mul(scalar, point):
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def encode_point(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode_point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    need(y < P, "a point that is not reduced")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    need((x * x - square) % P == 0, "no point has this y")
    need(x or not sign, "a sign bit on zero")
    return (P - x if x & 1 != sign else x), y


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def public_key(data):
    """A key that every verifier agrees about: of the prime-order group, and not its neutral element."""
    need(len(data) == 32, "a key of another length than 32 bytes")
    point = decode_point(data)
    need(mul(8, point) != NEUTRAL, "a key of small order")
    need(mul(ORDER, point) == NEUTRAL, "a key outside the prime-order group")
    return point


def verify(key, message, signature):
    need(len(signature) == 64, "a signature of another length than 64 bytes")
    point, s = public_key(key), int.from_bytes(signature[32:], "little")
    need(s < ORDER, "S is not reduced")
    need(mul(8, decode_point(signature[:32])) != NEUTRAL, "R is of small order")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    minus = ((P - point[0]) % P, point[1])
    need(encode_point(add(mul(s, BASE), mul(k, minus))) == signature[:32], "the signature does not verify")


# ---- text


def decode64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused(f"base64: {error}") from None
    need(base64.b64encode(data) == text.encode(), "base64 that is not canonical")
    return data


def hash_line(line):
    data = decode64(line)
    need(len(data) == 32, "a hash of another length than 32 bytes")
    return data


def decimal(text, most=2**63 - 1):
    need(re.fullmatch(r"0|[1-9][0-9]*", text, re.ASCII) is not None, f"{text!r} is not a decimal number")
    need(int(text) <= most, "a number that is too large")
    return int(text)


def key_id(name, kind, key):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


class Key:
    """A key as verifiers know it: name, signature type, 32 bytes."""

    def __init__(self, name, kind, key):
        need(name and not re.search(r"[\s+]", name), "a key name that is none")
        need(kind in (1, 4), "a signature type that is not read here")
        public_key(key)
        self.name, self.kind, self.key, self.id = name, kind, key, key_id(name, kind, key)

    @classmethod
    def parse(cls, text):
        parts = text.split("+", 2)
        need(len(parts) == 3, "a verifier key has three parts")
        name, shown, data = parts[0], parts[1], decode64(parts[2])
        need(len(data) == 33, "a verifier key has 33 bytes")
        key = cls(name, data[0], data[1:])
        need(key.id.hex() == shown, "the id is not that of the key")
        return key


LINES_MAX = 32


class Note:
    """A signed note: text, and lines of (name, key id, signature)."""

    def __init__(self, data):
        need(len(data) <= 16384, "a note that is too long")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise Refused(str(error)) from None
        need(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "a control character")
        head, found, tail = whole.rpartition("\n\n")
        need(found, "no empty line")
        self.text = head + "\n"
        self.lines = read_lines(tail)

    def signed_by(self, key):
        """Verifies the one line of a known key; for a cosignature, gives its time."""
        mine = [line for line in self.lines if line[:2] == (key.name, key.id)]
        need(mine, f"no signature by {key.name}")
        need(len(mine) == 1, f"more than one signature by {key.name}")
        if key.kind == 1:
            verify(key.key, self.text.encode(), mine[0][2])
            return None
        time = int.from_bytes(mine[0][2][:8], "big")
        need(time < 2**63, "a time that is too large")
        read_checkpoint(self.text)
        verify(key.key, f"cosignature/v1\ntime {time}\n{self.text}".encode(), mine[0][2][8:])
        return time


def read_lines(text):
    need(text.endswith("\n"), "no signature lines, or an unfinished one")
    lines = text[:-1].split("\n")
    need(len(lines) <= LINES_MAX, "too many signature lines")
    read = []
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\u2014", "a line that is no signature line")
        need(parts[1] and not re.search(r"[\s+]", parts[1]), "a key name that is none")
        data = decode64(parts[2])
        need(len(data) > 4, "a signature that is too short")
        read.append((parts[1], data[:4], data[4:]))
    return read


def read_checkpoint(text):
    """(origin, size, root) of a checkpoint's text."""
    lines = text.split("\n")
    need(len(lines) == 4 and lines[3] == "", "a checkpoint has three lines")
    need(lines[0] and not re.search(r"[\s+]", lines[0]), "an origin that is no key name")
    size, root = decimal(lines[1]), hash_line(lines[2])
    need(size or root == root_of([]), "the empty tree has one root")
    return lines[0], size, root


def open_checkpoint(data, key):
    """A checkpoint that the log's key signed, under the name that is its origin."""
    note = Note(data)
    origin, size, root = read_checkpoint(note.text)
    need(origin == key.name, "a checkpoint of another log")
    note.signed_by(key)
    return note, size, root


# ---- RFC 6962


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size):
    return 1 << (size - 1).bit_length() - 1


def root_of(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return node_hash(root_of(hashes[:k]), root_of(hashes[k:]))


def inclusion_of(index, hashes):
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return inclusion_of(index, hashes[:k]) + [root_of(hashes[k:])]
    return inclusion_of(index - k, hashes[k:]) + [root_of(hashes[:k])]


def consistency_of(old, hashes, whole=True):
    if old == len(hashes):
        return [] if whole else [root_of(hashes)]
    k = split(len(hashes))
    if old <= k:
        return consistency_of(old, hashes[:k], whole) + [root_of(hashes[k:])]
    return consistency_of(old - k, hashes[k:], False) + [root_of(hashes[:k])]


def check_inclusion(leaf, index, size, proof, root):
    """RFC 9162 §2.1.3.2."""
    need(index < size, "an index that is not in the tree")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        need(sn, "a proof that is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "a proof that is too short")
    need(r == root, "the proof leads to another root")


def check_consistency(old, new, old_root, new_root, proof):
    """RFC 9162 §2.1.4.2; from nothing and between equal sizes the proof is empty."""
    need(old <= new, "sizes in the wrong order")
    if old in (0, new):
        need(not proof, "a proof where none is needed")
        need(old_root == (root_of([]) if old == 0 else new_root), "another root")
        return
    need(proof, "no proof")
    if old & (old - 1) == 0:
        proof = [old_root] + proof
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        need(sn, "a proof that is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "a proof that is too short")
    need(fr == old_root and sr == new_root, "the proof leads to another root")


# ---- tlog-proof, tlog-witness, tlog-policy


def read_proof(data):
    """(extra or None, index, hashes, checkpoint bytes)."""
    need(len(data) <= 107128, "a proof that is too long")
    head, found, checkpoint = data.partition(b"\n\n")
    need(found, "no empty line")
    try:
        lines = head.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Refused(str(error)) from None
    need(lines.pop(0) == "c2sp.org/tlog-proof@v1", "another first line")
    extra = decode64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    need(extra is None or len(extra) <= 65704, "extra data that is too long")
    need(lines and lines[0].startswith("index "), "no index line")
    index = decimal(lines.pop(0)[6:], 2**64 - 1)
    need(len(lines) <= 64, "too many hashes")
    return extra, index, [hash_line(line) for line in lines], checkpoint


def read_ask(data):
    """(old size, hashes, checkpoint bytes) of an add-checkpoint request."""
    need(len(data) <= 19283, "a request that is too long")
    first, found, rest = data.partition(b"\n")
    need(found and first.startswith(b"old "), "no old size")
    hashes = []
    while not rest.startswith(b"\n"):
        line, found, rest = rest.partition(b"\n")
        need(found, "no empty line")
        hashes.append(hash_line(line.decode("latin-1")))
    need(len(hashes) <= 63, "too many hashes")
    Note(rest[1:])
    return decimal(first[4:].decode("latin-1")), hashes, rest[1:]


class Policy:
    """Which keys sign for a log, and which witnesses are enough."""

    def __init__(self, text):
        self.logs, self.witnesses, self.groups, quorums = [], {}, {}, []
        used = set()
        for line in text.split("\n"):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "log":
                need(len(words) in (2, 3), "a log line")
                self.logs.append(Key.parse(words[1]))
                need(self.logs[-1].kind == 1, "a log's key of another type")
            elif words[0] == "witness":
                need(len(words) in (3, 4), "a witness line")
                self.define(words[1])
                self.witnesses[words[1]] = Key.parse(words[2])
                need(self.witnesses[words[1]].kind == 4, "a witness's key of another type")
            elif words[0] == "group":
                need(len(words) > 3, "a group line")
                names = words[3:]
                least = {"all": len(names), "any": 1}.get(words[2]) or decimal(words[2])
                need(1 <= least <= len(names), "a threshold out of bounds")
                for name in names:
                    need(name in self.witnesses or name in self.groups, f"{name} is not defined")
                    need(name not in used, f"{name} is in two groups")
                    used.add(name)
                self.define(words[1])
                self.groups[words[1]] = (least, names)
            else:
                need(words[0] == "quorum" and len(words) == 2, f"a line that the format does not have: {line}")
                need(words[1] == "none" or words[1] in {**self.witnesses, **self.groups}, "an unknown quorum")
                quorums.append(words[1])
        need(len(quorums) == 1, "exactly one quorum line")
        self.quorum = quorums[0]
        for keys in (self.logs, list(self.witnesses.values())):
            need(len({key.key for key in keys}) == len(keys), "one key twice")

    def define(self, name):
        need(name != "none" and name not in self.witnesses and name not in self.groups, f"{name} twice")

    def log(self, origin):
        found = [key for key in self.logs if key.name == origin]
        need(found, f"the policy does not list {origin}")
        return found[0]

    def has_quorum(self, note):
        """Whether enough witnesses cosigned. A line of a known witness that does not verify refuses the note."""
        signed = set()
        for name, key in self.witnesses.items():
            if any(line[:2] == (key.name, key.id) for line in note.lines):
                note.signed_by(key)
                signed.add(name)
        return self.quorum == "none" or self.holds(self.quorum, signed)

    def holds(self, name, signed):
        if name in self.witnesses:
            return name in signed
        least, names = self.groups[name]
        return sum(self.holds(member, signed) for member in names) >= least
