"""A Bloom filter of a segment's keys: ten bits a key say “surely not here” or “perhaps, look”.

With four probes about one look in eighty is in vain; a million documents cost a little over a megabyte.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b

BITS_A_KEY = 10
ONE = ord("1")


def make_filter(keys: Iterable[str]) -> bytes:
    """Build the filter of `keys`. No key at all gives no bytes."""
    listed = list(keys)
    size = (len(listed) * BITS_A_KEY + 7) // 8 * 8
    # A byte for every bit, put together at the end: a third of the time that setting bits takes.
    flags = bytearray(b"0") * size
    for key in listed:
        for place in _places(key, size):
            flags[place] = ONE
    return int(flags[::-1], 2).to_bytes(size // 8, "little") if flags else b""


def may_hold(key_filter: bytes, key: str) -> bool:
    """False when `key` was surely not among the keys of the filter."""
    return bool(key_filter) and all(
        key_filter[place >> 3] & (1 << (place & 7)) for place in _places(key, len(key_filter) * 8)
    )


def asking(key: str) -> Callable[[bytes | memoryview], bool]:
    """Give `may_hold` for one key and many filters: the key is digested once, and places once for each size."""
    places: dict[int, tuple[int, ...]] = {}

    def asked(key_filter: bytes | memoryview) -> bool:
        size = len(key_filter) * 8
        if size not in places:
            places[size] = _places(key, size) if size else ()
        return size > 0 and all(key_filter[place >> 3] & (1 << (place & 7)) for place in places[size])

    return asked


def _places(key: str, size: int) -> tuple[int, int, int, int]:
    """Two halves of one digest make all probes (Kirsch and Mitzenmacher, 2006)."""
    digest = int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    # Odd, so that the probes of a key do not fall on each other.
    first, step = digest >> 32, digest & 0xFFFFFFFF | 1
    return first % size, (first + step) % size, (first + 2 * step) % size, (first + 3 * step) % size
