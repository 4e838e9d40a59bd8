"""A Bloom filter of a segment's keys: ten bits a key say “surely not here” or “perhaps, look”.

With four probes about one look in eighty is in vain; a million documents cost a little over a megabyte.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

BITS_A_KEY = 10
PROBES = 4


def make_filter(keys: Iterable[str]) -> bytes:
    """Build the filter of `keys`. No key at all gives no bytes."""
    listed = list(keys)
    bits = bytearray((len(listed) * BITS_A_KEY + 7) // 8)
    for key in listed:
        for place in _places(key, len(bits) * 8):
            bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def may_hold(key_filter: bytes, key: str) -> bool:
    """False when `key` was surely not among the keys of the filter."""
    return bool(key_filter) and all(
        key_filter[place >> 3] & (1 << (place & 7)) for place in _places(key, len(key_filter) * 8)
    )


def _places(key: str, size: int) -> Iterator[int]:
    """Two halves of one digest make all probes (Kirsch and Mitzenmacher, 2006)."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    first = int.from_bytes(digest[:4], "big")
    # Odd, so that the probes of a key do not fall on each other.
    step = int.from_bytes(digest[4:], "big") | 1
    return ((first + probe * step) % size for probe in range(PROBES))
