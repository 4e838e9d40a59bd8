"""The text of an export: readable, stable to the byte, and read back as what it was."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.exchange.text import DEEPEST, LONGEST, NotTaken, read, written

ODD = st.text(alphabet=" \t\n\r:#-?|>'\"%@`&*!{}[],ab0\x85\u2028\ufeffé\x7f株🦆")
TEXTS = st.one_of(
    ODD,
    st.sampled_from(["no", "Yes", "on", "~", "null", "1e3", "0x1f", "00123", "1.50", "2026-01-31", "12:30", "=", "<<"]),
)
PLAIN = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.none(), st.integers(-(10**17), 10**17)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@given(PLAIN)
def test_what_was_written_is_read_as_it_was(data: object) -> None:
    text = written(data)

    assert read(text, "it") == data
    assert written(read(text, "it")) == text


@pytest.mark.parametrize("script", ["if (a) {\n\treturn 1;  \n}\n", "a\n\nb", "// ü 株\nreturn this._A;\n\n"])
def test_a_script_is_a_block_that_reads_as_it_was_typed(script: str) -> None:
    text = written({"script": script, "next": 1})

    assert text.startswith("script: |")
    assert text.endswith("next: 1\n")
    block = [line.removeprefix("  ") for line in text.removesuffix("next: 1\n").splitlines()[1:]]
    assert block == script.splitlines()
    assert read(text, "it") == {"script": script, "next": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &x [1]\nb: *x\n", "bad.yaml, line 1: anchors and aliases are not read. Write the value out."),
        ("a: !!python/object/apply:os.system [id]\n", "bad.yaml, line 1: the tag"),
        ("a: !!int '5'\n", "the tag tag:yaml.org,2002:int is not read"),
        ("a: 1\nb: 2\na: 3\n", "bad.yaml, line 3: a is there twice. Keep one of the two."),
        ("[" * (DEEPEST + 2), f"it is nested deeper than {DEEPEST} levels"),
        ("? [a]\n: 1\n", "a name is expected here"),
        ("a: [1\nb: 2\n", "bad.yaml cannot be read in line"),
        ("a: 1\n---\nb: 2\n", "bad.yaml holds 2 documents. One file holds one thing."),
        ("a: 1\nb: 1.0e999\n", "bad.yaml, line 2: the number 1.0e999 is larger than any that is kept."),
        ("", "bad.yaml holds 0 documents"),
        ("a: \x00\n", "bad.yaml cannot be read"),
        ("a" * (LONGEST + 1), "are read at most"),
    ],
)
def test_what_no_export_writes_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(NotTaken) as refused:
        read(text, "bad.yaml")

    assert sentence in refused.value.sentence


def test_a_very_deep_file_does_not_exhaust_the_stack() -> None:
    with pytest.raises(NotTaken):
        read("[" * (sys.getrecursionlimit() * 20), "bad.yaml")


def test_what_looks_like_a_number_to_some_stays_text() -> None:
    assert read("a: 00123\nb: no\nc: 2026-01-31\nd: 12:30\ne: 1_000\n", "it") == {
        "a": "00123", "b": "no", "c": "2026-01-31", "d": "12:30", "e": "1_000",
    }  # fmt: skip
