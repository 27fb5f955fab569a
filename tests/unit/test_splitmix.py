"""The 64-bit arithmetic: against Python's whole numbers, and in NumPy as in torch."""

from __future__ import annotations

import pytest
import torch

from sparring import splitmix

FULL = (1 << 64) - 1
WORDS = torch.randint(-(2**63), 2**63 - 1, (3, 50), generator=torch.Generator().manual_seed(0))


def reference(word: int) -> int:
    """The finaliser of splitmix64, in whole numbers of any size."""
    z = word & FULL
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & FULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & FULL
    return z ^ (z >> 31)


def test_it_stirs_as_published() -> None:
    expected = [[splitmix.signed(reference(word)) for word in row] for row in WORDS.tolist()]
    before = WORDS.clone()
    assert splitmix.mix(WORDS).tolist() == expected
    assert splitmix.mix_on_device(WORDS).tolist() == expected
    assert torch.equal(before, WORDS), "its argument is left as it was"
    assert splitmix.mix(WORDS[0, 0]).item() == expected[0][0]
    assert splitmix.mix(WORDS[:0]).shape == (0, 50)


@pytest.mark.filterwarnings("error")
def test_a_stream_counts_on_from_what_it_has_given() -> None:
    keys = WORDS[:, 0]
    whole = splitmix.stream(keys, 0, 9)
    assert torch.equal(splitmix.stream(keys, 4, 5), whole[:, 4:])
    expected = [
        [splitmix.signed(reference(key + at * splitmix.GOLDEN)) for at in range(1, 10)] for key in keys.tolist()
    ]
    assert whole.tolist() == expected


@pytest.mark.parametrize("bits", [1, 24, 31])
def test_the_top_bits_are_never_negative(bits: int) -> None:
    words = WORDS[:, 3:]  # not contiguous, as what is left of numbers drawn ahead
    assert splitmix.top(words, bits).tolist() == [[(w & FULL) >> (64 - bits) for w in row] for row in words.tolist()]
    halves = [[half for w in row for half in (w & 0xFFFFFFFF, (w & FULL) >> 32)] for row in words.tolist()]
    expected = [[half >> (32 - bits) for half in row] for row in halves]
    assert splitmix.top_of_halves(words, bits).tolist() == expected
