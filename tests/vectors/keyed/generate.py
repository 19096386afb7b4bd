"""Writes vectors.json: canonical forms, keyed digests and roots of data sets (SPEC 7.15, 7.16).

    python generate.py

Nothing of Hashpact is used: canonical forms are written out by hand from the words of the specification, digests are
Python's hmac and hashlib, international names are checked against Python's own IDNA codec, roots follow RFC 6962's
recursive definition. Every address is of a name that is reserved for documentation.
"""

import hashlib
import hmac
import json
import pathlib

KEYS = [bytes(range(32)), b"\xff" * 32]

# text, canonical form
URLS = [
    ("https://example.com/a/b.jpg", "https://example.com/a/b.jpg"),
    ("  https://example.com/a\t", "https://example.com/a"),
    ("HTTPS://EXAMPLE.com/A%2fB", "https://example.com/A%2fB"),
    ("https://example.com", "https://example.com"),
    ("https://example.com/", "https://example.com/"),
    ("https://example.com?q=1", "https://example.com?q=1"),
    ("https://example.com/a#part", "https://example.com/a"),
    ("https://example.com#/a", "https://example.com"),
    ("https://example.com/a?b=c#d?e", "https://example.com/a?b=c"),
    ("https://example.com/?u=http://Other.example/#x", "https://example.com/?u=http://Other.example/"),
    ("http://example.com:80/a", "http://example.com/a"),
    ("http://example.com:0080/a", "http://example.com/a"),
    ("http://example.com:443/a", "http://example.com:443/a"),
    ("https://example.com:443/a", "https://example.com/a"),
    ("https://example.com:/a", "https://example.com/a"),
    ("https://example.com:08443/a", "https://example.com:8443/a"),
    ("ftp://example.com:21/a", "ftp://example.com/a"),
    ("wss://example.com:443/a", "wss://example.com/a"),
    ("s3://Bucket-1/Key", "s3://bucket-1/Key"),
    ("https://example.com./a", "https://example.com/a"),
    ("https://under_score.example.com/a", "https://under_score.example.com/a"),
    ("https://User:Pass@example.com/a", "https://User:Pass@example.com/a"),
    ("https://user@with@example.com/a", "https://user@with@example.com/a"),
    ("https://b\u00fccher.example/\u00fc", "https://xn--bcher-kva.example/\u00fc"),
    ("https://B\u00dcCHER.example/a", "https://xn--bcher-kva.example/a"),
    ("https://\u4f8b\u3048.example\u3002/a", "https://xn--r8jz45g.example/a"),
    ("https://xn--bcher-kva.EXAMPLE/a", "https://xn--bcher-kva.example/a"),
    ("https://192.0.2.7/a", "https://192.0.2.7/a"),
    ("https://[2001:DB8:0:0::1]:443/a", "https://[2001:db8::1]/a"),
    ("https://[2001:db8::1]:8443/a", "https://[2001:db8::1]:8443/a"),
    ("https://example.com/../a//b/./c", "https://example.com/../a//b/./c"),
    ("https://example.com/a:b@c", "https://example.com/a:b@c"),
]
LONG = "a" * 63
URLS_REFUSED = [
    ("", "Empty"),
    (" \t ", "Empty"),
    ("https://example.com/a b", "Space"),
    ("https://example.com/a\tcaption", "Space"),
    ("https://example.com/a\u00a0b", "Space"),
    ("https://example.com/\u0000", "Space"),
    ("example.com/a", "Scheme"),
    ("//example.com/a", "Scheme"),
    ("://example.com/a", "Scheme"),
    ("https:/example.com/a", "Scheme"),
    ("1https://example.com/a", "Scheme"),
    ("data:image/png;base64,AAAA", "Scheme"),
    ("urn:example:a", "Scheme"),
    ("https:///a", "NoHost"),
    ("https://", "NoHost"),
    ("https://user@/a", "NoHost"),
    ("https://:443/a", "NoHost"),
    ("https://./a", "NoHost"),
    ("https://example.com\\a", "Host"),
    ("https://exa%6dple.com/a", "Host"),
    ("https://exa(mple.com/a", "Host"),
    ("https://a..example.com/a", "Host"),
    ("https://example.com../a", "Host"),
    ("https://" + LONG + "a.example.com/a", "Host"),
    ("https://" + ".".join([LONG] * 4) + "/a", "Host"),
    ("https://2001:db8::1/a", "Host"),
    ("https://[2001:db8::1/a", "Host"),
    ("https://[192.0.2.7]/a", "Host"),
    ("https://[2001:db8::1]x/a", "Host"),
    ("https://exa\u00ad\u2260(mple.example/a", "Host"),
    ("https://example.com:65536/a", "Port"),
    ("https://example.com:+1/a", "Port"),
    ("https://example.com:http/a", "Port"),
    ("https://[2001:db8::1]:a/", "Port"),
]
DOMAINS = [
    ("example.com", "example.com"),
    (" EXAMPLE.com. ", "example.com"),
    ("b\u00fccher.example", "xn--bcher-kva.example"),
    ("https://user@Example.com:8443/path?q#f", "example.com"),
    ("192.0.2.7", "192.0.2.7"),
    ("[2001:DB8::1]", "[2001:db8::1]"),
    ("localhost", "localhost"),
    (".".join([LONG] * 3) + "." + "a" * 61, ".".join([LONG] * 3) + "." + "a" * 61),
]
DOMAINS_REFUSED = [
    ("", "Empty"),
    ("example.com other.example", "Space"),
    ("example.com/a", "NotAHost"),
    ("example.com:443", "NotAHost"),
    ("//example.com", "NotAHost"),
    ("mailto:user@example.com", "NotAHost"),
    ("user@example.com", "NotAHost"),
    ("2001:db8::1", "NotAHost"),
    ("https:///a", "NoHost"),
    (".", "NoHost"),
    ("exa*mple.com", "Host"),
    (".example.com", "Host"),
    (".".join([LONG] * 3) + "." + "a" * 62, "Host"),
]


def keyed(key, tag, text):
    return hmac.new(key, tag + text.encode(), hashlib.sha256).hexdigest()


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if len(leaves) == 1:
        return sha(b"\0", leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha(b"\1", root(leaves[:half]), root(leaves[half:]))


def main():
    assert "b\u00fccher.example".encode("idna") == b"xn--bcher-kva.example"
    assert "\u4f8b\u3048.example".encode("idna") == b"xn--r8jz45g.example"
    tags = {"url": b"hashpact/url/v1\0", "domain": b"hashpact/domain/v1\0"}
    accepted = [
        {"of": of, "text": text, "canonical": form, "digests": [keyed(key, tags[of], form) for key in KEYS]}
        for of, cases in (("url", URLS), ("domain", DOMAINS))
        for text, form in cases
    ]
    refused = [
        {"of": of, "text": text, "rule": rule}
        for of, cases in (("url", URLS_REFUSED), ("domain", DOMAINS_REFUSED))
        for text, rule in cases
    ]
    digests = [sha(b"file %d" % nth) for nth in range(9)]
    roots = [
        {"files": [digest.hex() for digest in digests[:count]], "root": root(sorted(digests[:count])).hex()}
        for count in range(1, 10)
    ]
    checks = [hmac.new(key, b"hashpact/key-check/v1\0", hashlib.sha256).hexdigest()[:16] for key in KEYS]
    keys = [{"key": key.hex(), "check": check} for key, check in zip(KEYS, checks)]
    whole = {"keys": keys, "accepted": accepted, "refused": refused, "roots": roots}
    path = pathlib.Path(__file__).parent / "vectors.json"
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=True) + "\n")
    print(len(accepted), len(refused), len(roots))


main()
