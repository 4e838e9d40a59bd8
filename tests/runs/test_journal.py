"""What the ledger keeps of a segment: keys that are found again, problems as every database stores them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.engine.batch import Bucket
from integrations.runs.journal import pack_keys, storable, unpack_keys
from integrations.runs.key_filter import BITS_A_KEY, make_filter, may_hold

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(st.tuples(keys, st.sampled_from(list(Bucket)))))
def test_packed_keys_come_back_in_order_with_their_buckets(documents: list[tuple[str, Bucket]]) -> None:
    packed = pack_keys([key for key, _ in documents], [bucket for _, bucket in documents])
    assert unpack_keys(packed) == documents


@given(st.lists(keys, min_size=1, max_size=200))
def test_a_filter_never_denies_a_key_it_holds(held: list[str]) -> None:
    key_filter = make_filter(held)
    assert all(may_hold(key_filter, key) for key in held)
    assert len(key_filter) <= len(held) * BITS_A_KEY // 8 + 1


def test_a_filter_seldom_sends_a_look_in_vain() -> None:
    key_filter = make_filter(f"{number:06d}" for number in range(1_000))
    vain = sum(may_hold(key_filter, f"other {number}") for number in range(10_000))
    assert vain < 300, "about one in eighty"


def test_a_delivered_document_costs_little_beyond_its_key() -> None:
    numbers = [f"{number:06d}" for number in range(1_000)]
    packed = pack_keys(numbers, [Bucket.CREATED] * 1_000)
    assert len(packed) + len(make_filter(numbers)) < 4 * 1_000


@pytest.mark.parametrize(("given", "kept"), [("a\0b", "a␀b"), ("half \ud800 pair", "half ? pair"), ("Grüße", "Grüße")])
def test_text_is_kept_as_every_database_stores_it(given: str, kept: str) -> None:
    assert storable(given) == kept
