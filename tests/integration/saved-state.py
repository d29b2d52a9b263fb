#!/usr/bin/env python3
"""saved-state.py FILE PATTERN TEXT: in the last state of a file of davitd's (supervisor/manager/saved.c) TEXT takes the place of
PATTERN, a regular expression, and the sum is made right again. Such a state could be of another version of davitd."""
import re
import sys

MASK = (1 << 64) - 1


def rounds(v, n):
    for _ in range(n):
        for a, b, left in ((0, 1, 13), (2, 3, 16), (0, 3, 21), (2, 1, 17)):
            v[a] = (v[a] + v[b]) & MASK
            v[b] = (v[b] << left | v[b] >> (64 - left)) & MASK
            v[b] ^= v[a]
            if left in (13, 17):
                v[a] = (v[a] << 32 | v[a] >> 32) & MASK


def siphash(data, key=(0, 0)):
    """SipHash-2-4."""
    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D, key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]
    whole = len(data) & ~7
    words = [int.from_bytes(data[i:i + 8], "little") for i in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for m in words:
        v[3] ^= m
        rounds(v, 2)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def main():
    path, pattern, text = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        states = re.findall(r"(.*?)sum=([0-9a-f]{16})\n", f.read(), re.DOTALL)
    last, found = states[-1]
    if int(found, 16) != siphash(last.encode()):
        sys.exit("the sum is made in another way than here")
    changed, n = re.subn(pattern, lambda _: text, last, flags=re.MULTILINE)
    if n != 1:
        sys.exit(f"{pattern} is there {n} times")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{changed}sum={siphash(changed.encode()):016x}\n")


main()
