"""Events as lines, and the ids that order them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atms_cli.errors import DamagedError, UsageError
from atms_cli.store import codec, hlc
from atms_cli.store.jsontext import encode as encode_json

if TYPE_CHECKING:
    from atms_cli.domain.records import Event, JsonObject

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=10,
)
events: st.SearchStrategy[Event] = st.builds(
    lambda key, actor, data: made(key=key, actor=actor, data=data),
    words,
    words,
    st.dictionaries(words, json_values, max_size=4),
)
stamps = st.integers(min_value=0, max_value=2**45 - 2)


def made(key: str = "t1", actor: str = "ann", data: JsonObject | None = None) -> Event:
    at = "2026-01-02T03:04:05.000Z"
    return {
        "v": 1,
        "id": "01k0000000000replica1",
        "at": at,
        "type": "task.created",
        "key": key,
        "actor": actor,
        "data": data or {},
    }


@given(events, st.booleans())
def test_decode_after_encode_is_identity(event: Event, more: bool) -> None:  # noqa: FBT001  Hypothesis fills it
    line = codec.encode(event, more=more)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert codec.decode(line) == (event, more)
    assert codec.seal(line) == line[-11:-3].decode()


@pytest.mark.parametrize("more", [False, True])
def test_every_flipped_bit_is_found(more: bool) -> None:  # noqa: FBT001  a table
    line = codec.encode(made(data={"title": "Größe", "tags": ["a", "b"], "effort": 5}), more=more)
    for place in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[place] ^= 1 << bit
            with pytest.raises(DamagedError):
                codec.decode(bytes(flipped))


@given(events, st.data())
def test_every_cut_is_found(event: Event, data: st.DataObject) -> None:
    line = codec.encode(event, more=False)
    cut = data.draw(st.integers(0, len(line) - 1))
    with pytest.raises(DamagedError):
        codec.decode(line[:cut])


def test_a_newer_version_is_refused_with_the_way_out() -> None:
    with pytest.raises(DamagedError, match="format 2, this atms knows 1") as refusal:
        codec.decode(codec.encode({**made(), "v": 2}, more=False))
    assert refusal.value.hint == "upgrade atms"


def test_half_a_surrogate_pair_is_refused_and_not_a_crash() -> None:
    with pytest.raises(UsageError, match="not valid Unicode"):
        codec.encode(made(data={"title": b"caf\xe9".decode(errors="surrogateescape")}), more=False)


def test_the_line_is_json_that_any_program_can_read() -> None:
    import json

    record = json.loads(codec.encode(made(data={"title": "x"}), more=True))
    assert list(record) == ["v", "id", "at", "type", "key", "actor", "data", "more", "crc"]
    assert encode_json({"ü": 1.5}) == '{"ü":1.5}'


@given(st.lists(stamps, min_size=1, max_size=50))
def test_ids_only_grow_whatever_the_clock_does(moments: list[int]) -> None:
    last, ids = "", []
    for now_ms in moments:
        last = hlc.following(last, now_ms, "replica1")
        ids.append(last)
    assert ids == sorted(set(ids))
    assert all(len(each) == 21 for each in ids)
    assert hlc.time_ms(ids[-1]) >= max(moments)


@given(stamps, stamps)
def test_ids_of_different_times_sort_by_time(one: int, other: int) -> None:
    first, second = hlc.following("", one, "zzzzzzzz"), hlc.following("", other, "00000000")
    assert hlc.time_ms(first) == one
    if one < other:
        assert first < second


def test_a_million_ids_in_a_millisecond_run_ahead_of_time_and_not_into_each_other() -> None:
    last = hlc.following("", 1000, "replica1")
    for _ in range(5):
        following = hlc.following(last, 1000, "replica1")
        assert following > last
        last = following
    assert hlc.time_ms(last) == 1000
