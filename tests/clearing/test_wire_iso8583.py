"""ISO 8583 on the wire: published messages read as published, round trips, and only our own error."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clearing.wire.iso8583 import (
    MAX_MESSAGE_BYTES,
    SPECIFICATIONS,
    FrameReader,
    Message,
    MessageError,
    Specification,
    answering_tpdu,
    decode,
    encode,
    encode_with_mac,
    frame,
    mac_parts,
    specification,
    split_tpdu,
    spoken,
)

CHINA, ASCII = specification("china-pos"), specification("ascii")
PURCHASE = Message(
    "0200",
    {2: "3104870000000001234", 3: "000000", 4: "000000001250", 11: "000017", 12: "093000", 13: "0302",
     22: "051", 25: "00", 41: "POS00001", 42: "SHOP-1         ", 49: "156", 60: "22000001000", 64: "00" * 8},
)  # fmt: skip


def variant(encoding: dict[str, str]) -> Specification:
    """Our specification nearest to a vector's encoding, with what the vector has otherwise."""
    if encoding["mti"] == "ascii":
        binary = {"p": {"data_enc": "b", "max_len": 8}} if encoding["bm"] == "bin" else {}
        return ASCII.but(binary)
    return CHINA.but({"24": {"right_pad": "F"}} if encoding["odd"] == "right" else {})


def visa_base1() -> Specification:
    """BCD numbers, EBCDIC text, lengths in binary, numbers of odd length padded on the left."""
    fields: dict[str, dict[str, Any]] = {}
    for key, known in ASCII.fields.items():
        prefix = {"len_enc": "b", "len_type": min(int(known["len_type"]), 1)}
        if known["kind"] in ("n", "z"):
            fields[key] = {**known, **prefix, "data_enc": "b", "len_count": "nibbles", "left_pad": "0"}
        elif known["kind"] == "b" or key in ("54", "55", "60", "62", "63", "104", "126"):
            length = known["max_len"] // 2 if known["kind"] == "b" else 255
            fields[key] = {**known, **prefix, "data_enc": "b", "max_len": length}
        else:
            fields[key] = {**known, **prefix, "data_enc": "cp500"}
    for key in ("p", "1"):
        fields[key] |= {"kind": "bitmap", "data_enc": "b", "max_len": 8}
    fields["t"] |= {"max_len": 2, "len_count": "bytes"}
    fields["59"] |= {"data_enc": "cp500"}
    for key, digits in (("22", 4), ("49", 3), ("70", 4)):
        number = {"kind": "n", "data_enc": "b", "len_count": "nibbles", "left_pad": "0"}
        fields[key] |= {**number, "max_len": digits}
    return Specification("visa-base1", fields)


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared_data / "iso8583/vectors.json").read_text())
    return found


def test_published_messages_have_the_fields_that_were_published(vectors: list[dict[str, Any]]) -> None:
    seen = 0
    for vector in vectors:
        if not vector["verified"] or "mti" not in vector["encoding"]:
            continue
        tpdu, data = split_tpdu(bytes.fromhex(vector["hex"]))
        assert tpdu.hex() == vector["expected"].pop("header", ""), vector["id"]
        spec = variant(vector["encoding"])
        message = decode(data, spec)
        expected = {int(number): text for number, text in vector["expected"].items()}
        assert message.mti == expected.pop(0), vector["id"]
        assert message.fields == expected, vector["id"]
        again = encode(message, spec)
        # Two of them carry a second bitmap that names no field; everything else is as it was.
        assert again == data or (vector["id"].startswith("moov-legacy") and decode(again, spec) == message)
        seen += 1
    assert seen == 10


def test_a_length_is_two_bytes_high_byte_first(vectors: list[dict[str, Any]]) -> None:
    (vector,) = (each for each in vectors if each["id"] == "node-len-header")
    lengths = [int(length) for length in vector["expected"]["lengths"].split(",")]
    assert b"".join(frame(bytes(length))[:2] for length in lengths).hex() == vector["hex"]


def test_another_networks_messages_are_only_another_specification(vectors: list[dict[str, Any]]) -> None:
    spec, seen = visa_base1(), 0
    for vector in vectors:
        if not vector["id"].startswith("visa-base1"):
            continue
        data = bytes.fromhex(vector["hex"])[4 + 22 :]
        message, expected = decode(data, spec), vector["expected"]
        assert message.mti == expected["MTI"]
        # Theirs names the second bitmap as field 1; ours leaves the bitmaps out.
        second = [int(n) for n in expected.get("DE001", ())]
        assert sorted(message.fields) == sorted({*expected["BMP"], *second} - {1}), vector["id"]
        for number, text in message.fields.items():
            assert text == as_published(number, expected[f"DE{number:03d}"], text), (vector["id"], number)
        assert encode(message, spec) == data
        seen += 1
    assert seen == 6


def as_published(number: int, value: Any, ours: str) -> str:
    """A published value in our notation; values they take apart further are held against their parts."""
    if number in (52, 55):  # theirs: Base64, in hexadecimal
        return b64decode(bytes.fromhex(value)).hex().upper()
    if number in (22, 70):
        return str(value).rjust(4, "0")
    if isinstance(value, dict) and "SE00" in value:  # a bitmap of subfields, then they
        (only,) = value["SE00"]
        text = value[f"SE{only:02d}"]
        tail = text if text.isdigit() else text.encode("cp500").hex().upper()
        return ours if ours.endswith(tail) else tail
    if isinstance(value, dict):  # data sets of tag, length, value
        (sets,) = value.values()
        parts = "".join(f"{tag}{len(text) // 2:02X}{text.upper()}" for tag, text in sets[0].items())
        return ours if ours.endswith(parts) else parts
    return str(value).upper() if number in (35, 60) else str(value)


def test_what_is_no_message_is_refused_with_our_error_and_no_other(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        data = bytes.fromhex(vector["hex"])
        for name in SPECIFICATIONS:
            try:
                decode(data, specification(name))
            except MessageError as error:
                assert str(error).startswith("field ")
    (bad,) = (each for each in vectors if each["id"] == "moov-legacy-message_with_hex_bcd")
    with pytest.raises(MessageError):
        decode(bytes.fromhex(bad["hex"]), ASCII)


@given(st.binary(max_size=200), st.sampled_from(SPECIFICATIONS))
@example(bytes.fromhex("0200FFFFFFFFFFFFFFFF"), "china-pos")
@example(b"0200" + b"F" * 16, "ascii")
@example(b"0200C000000000000000" + b"8" + b"0" * 15 + b"0" * 40, "ascii")
def test_any_bytes_are_a_message_or_our_error(data: bytes, name: str) -> None:
    try:
        message = decode(data, specification(name))
    except MessageError:
        return
    assert len(message.mti) == 4


@given(st.data())
def test_a_damaged_message_is_a_message_or_our_error(data: st.DataObject) -> None:
    spec = specification(data.draw(st.sampled_from(SPECIFICATIONS)))
    whole = bytearray(encode(PURCHASE, spec))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = decode(bytes(whole), spec)
    except MessageError as error:
        assert error.field in range(129)
        return
    assert (read.mti, read.fields) != (PURCHASE.mti, PURCHASE.fields)


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_a_message_cut_off_anywhere_is_refused(name: str) -> None:
    whole = encode(PURCHASE, specification(name))
    for end in range(len(whole)):
        with pytest.raises(MessageError):
            decode(whole[:end], specification(name))
    with pytest.raises(MessageError, match="Extra data"):
        decode(whole + b"0", specification(name))


TEXT = st.text(st.characters(codec="gb18030", exclude_characters="\x00"), max_size=20).filter(
    lambda text: len(text.encode("gb18030")) <= 163
)
FIELDS = st.fixed_dictionaries(
    {11: st.integers(0, 999_999).map("{:06d}".format)},
    optional={
        2: st.from_regex(r"[0-9]{1,19}", fullmatch=True),
        4: st.integers(0, 10**12 - 1).map("{:012d}".format),
        22: st.from_regex(r"[0-9]{3}", fullmatch=True),
        23: st.from_regex(r"[0-9]{3}", fullmatch=True),
        41: st.from_regex(r"[A-Z0-9]{8}", fullmatch=True),
        60: st.from_regex(r"[0-9]{1,17}", fullmatch=True),
        64: st.binary(min_size=8, max_size=8).map(lambda mac: mac.hex().upper()),
    },
)


@given(FIELDS, TEXT, st.sampled_from(["0200", "0210", "0800"]))
def test_what_is_written_is_read_again(fields: dict[int, str], text: str, mti: str) -> None:
    for name in SPECIFICATIONS:
        said = dict(fields)
        if name == "china-pos" and text:
            said[63] = text
        message = Message(mti, said)
        data = encode(message, specification(name))
        assert decode(data, specification(name)) == message
        assert spoken(data).name == name


def test_a_chinese_text_is_carried_in_gb18030() -> None:
    data = encode(Message("0210", {63: "余额不足"}), CHINA)
    assert data.endswith(bytes.fromhex("0008") + "余额不足".encode("gb18030"))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_a_mac_covers_every_byte_before_it(name: str) -> None:
    spec, seen = specification(name), []

    def mac(covered: bytes) -> bytes:
        seen.append(covered)
        return bytes(range(8))

    data = encode_with_mac(Message(PURCHASE.mti, {**PURCHASE.fields, 64: ""}), spec, mac)
    message = decode(data, spec)
    assert message.get(64) == bytes(range(8)).hex().upper()
    assert mac_parts(data, message, spec) == (seen[0], bytes(range(8)))
    assert data.startswith(seen[0])


def test_a_message_without_mac_or_with_fields_behind_it_has_none() -> None:
    bare = Message("0200", {11: "000001"})
    assert mac_parts(encode(bare, CHINA), bare, CHINA) is None
    longer = Message("0200", {11: "000001", 64: "00" * 8, 70: "301"})
    assert mac_parts(encode(longer, ASCII), longer, ASCII) is None


def test_a_digest_is_of_what_is_said_not_of_how() -> None:
    assert PURCHASE.digest() == decode(encode(PURCHASE, ASCII), ASCII).digest()
    assert PURCHASE.digest() == Message("0200", {**PURCHASE.fields, 64: "FF" * 8}).digest()
    assert PURCHASE.digest() != Message("0200", {**PURCHASE.fields, 4: "000000001251"}).digest()
    assert PURCHASE.digest() != Message("0220", PURCHASE.fields).digest()


def test_letters_in_an_amount_are_named_with_their_field_but_not_shown() -> None:
    data = encode(PURCHASE, CHINA).replace(bytes.fromhex("000000001250"), bytes.fromhex("0000000D1250"))
    with pytest.raises(MessageError, match="field 4") as refused:
        decode(data, CHINA)
    assert refused.value.readable[11] == "000017"
    assert "D1250" not in str(refused.value)


def test_a_field_that_does_not_fit_is_not_written() -> None:
    for fields in ({4: "12"}, {4: "-00000000100"}, {2: "1" * 20}, {129: "1"}, {63: "\ud800"}):
        with pytest.raises(MessageError):
            encode(Message("0200", fields), CHINA)


def test_a_transport_header_is_taken_off_and_turned_round() -> None:
    body = encode(PURCHASE, CHINA)
    tpdu = bytes.fromhex("6000030012")
    assert split_tpdu(tpdu + body) == (tpdu, body)
    assert split_tpdu(body) == (b"", body)
    assert split_tpdu(encode(PURCHASE, ASCII)) == (b"", encode(PURCHASE, ASCII))
    assert answering_tpdu(tpdu).hex() == "6000120003"
    assert answering_tpdu(b"") == b""


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 30))
def test_frames_are_found_in_whatever_pieces_they_come(bodies: list[bytes], size: int) -> None:
    stream, reader, found = b"".join(map(frame, bodies)), FrameReader(), []
    for start in range(0, len(stream), size):
        found += list(reader.feed(stream[start : start + size]))
    assert found == bodies
    assert not reader.in_frame


def test_a_frame_beyond_the_bound_is_refused() -> None:
    assert list(FrameReader().feed(frame(bytes(MAX_MESSAGE_BYTES)))) == [bytes(MAX_MESSAGE_BYTES)]
    with pytest.raises(MessageError, match="4097"):
        list(FrameReader().feed((MAX_MESSAGE_BYTES + 1).to_bytes(2, "big")))
    with pytest.raises(ValueError, match="4097"):
        frame(bytes(MAX_MESSAGE_BYTES + 1))


def test_a_message_of_no_known_specification_is_refused() -> None:
    for first in (b"", b"\x60", b"A"):
        with pytest.raises(MessageError):
            spoken(first)
    with pytest.raises(ValueError, match="china-pos"):
        specification("visa")
