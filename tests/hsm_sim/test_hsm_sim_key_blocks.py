"""Key blocks by the standards' own examples, by another's implementation, and by every byte that may change."""

import os

import psec
import pytest
from hsm_sim.key_blocks import (
    BlockChanged,
    Header,
    KeyBlockError,
    Protection,
    block_length,
    format_header,
    parse_header,
)
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLE_KEY = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"
EXAMPLE_BLOCK = (
    "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215"
    "F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
)
PUBLISHED = {
    "TR-31:2018, A.7.4": (
        EXAMPLE_KEY,
        EXAMPLE_BLOCK,
        Header("P0", "A", "E", "00", "E"),
        "3F419E1CB7079442AA37474C2EFBF8B8",
    ),
    "X9.143:2021, 8.1": (
        EXAMPLE_KEY,
        (
            "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4"
            "FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557"
        ),
        Header("P0", "A", "E", "00", "E"),
        "3F419E1CB7079442AA37474C2EFBF8B8",
    ),
    "of a payment HSM, 3DES": (
        "41" * 32,
        "D0112B0TN00N000037DB9B046B7B0048785690759580ABC3B9842AB4BB7717B49E92528E575785D8123559376A2553B27BE94F054F4E971C",
        Header("B0", "T", "N", "00", "N"),
        "1FA1F7CEC798D91545DA8AE0C7796BD9",
    ),
    "of a payment HSM, AES-256": (
        "41" * 32,
        (
            "D0144D0AN00N0000127862F945C2DED04530FAF7CDBC8B0BA10C7AA79BD5E0C2C5D6AC173BF588E4B19ACF1357178D50EA0A"
            "B193228E13958304FC6149632DFDCADF3A5B3D57E814"
        ),
        Header("D0", "A", "N", "00", "N"),
        "BE19E6A07A760F10EF8E83A226B63AAD141F463FDDD4F47DB244B4023EC3CACC",
    ),
}

CODES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEADERS = st.builds(
    Header,
    usage=st.text(CODES, min_size=2, max_size=2),
    algorithm=st.sampled_from("ADEHRST"),
    mode=st.sampled_from("BCDEGNSTVXY"),
    version_number=st.text(CODES, min_size=2, max_size=2),
    exportability=st.sampled_from("ENS"),
    optional=st.lists(
        st.tuples(
            st.text(CODES, min_size=2, max_size=2).filter(lambda name: name not in ("PB", "WP")),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300),
        ),
        max_size=4,
        unique_by=lambda option: option[0],
    ).map(tuple),
)
PROTECTION_KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
KEYS = st.binary(min_size=1, max_size=64)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_block_opens_to_its_key(name: str) -> None:
    protection_key, block, header, key = PUBLISHED[name]
    assert Protection.of(bytes.fromhex(protection_key)).unwrap(block) == (header, bytes.fromhex(key))


def test_the_standards_example_is_made_byte_for_byte() -> None:
    protection = Protection.of(bytes.fromhex(EXAMPLE_KEY))
    # The authentication key and the padding are the ones that the annex prints.
    assert (
        protection.authentication.hex() == "4ef24317696213840451890756757e573e0673483888f9b7f9b7517827f95022"
    )
    padding = bytes.fromhex("1C2965473CE206BB855B01533782")
    key = bytes.fromhex("3F419E1CB7079442AA37474C2EFBF8B8")
    header = Header("P0", "A", "E", "00", "E")
    assert protection.wrap(header, key, lambda _: padding, masked_bytes=16) == EXAMPLE_BLOCK


@given(HEADERS, PROTECTION_KEYS, KEYS)
def test_a_block_opens_to_what_was_put_in(header: Header, protection_key: bytes, key: bytes) -> None:
    protection = Protection.of(protection_key)
    block = protection.wrap(header, key, os.urandom)
    assert protection.unwrap(block) == (header, key)
    assert block_length(block) == len(block)
    assert len(parse_header(block)[0].optional) == len(header.optional)


@settings(max_examples=60)
@given(HEADERS, PROTECTION_KEYS, KEYS)
def test_anothers_implementation_opens_our_blocks_and_we_open_its(
    header: Header, protection_key: bytes, key: bytes
) -> None:
    protection = Protection.of(protection_key)
    theirs, opened = psec.tr31.unwrap(protection_key, protection.wrap(header, key, os.urandom))
    assert opened == key
    assert (theirs.key_usage, theirs.algorithm, theirs.mode_of_use) == (
        header.usage,
        header.algorithm,
        header.mode,
    )
    assert dict(theirs.blocks.items()) == dict(header.optional)
    made = psec.tr31.Header(
        "D", header.usage, header.algorithm, header.mode, header.version_number, header.exportability
    )
    for name, data in header.optional:
        made.blocks[name] = data
    assert protection.unwrap(psec.tr31.wrap(protection_key, made, key)) == (header, key)


@settings(max_examples=40)
@given(HEADERS, KEYS, st.data())
def test_a_block_of_which_any_byte_was_changed_is_refused(
    header: Header, key: bytes, data: st.DataObject
) -> None:
    protection = Protection.of(bytes(32))
    block = protection.wrap(header, key, os.urandom)
    place = data.draw(st.integers(0, len(block) - 1))
    other = data.draw(st.characters(min_codepoint=0, max_codepoint=0x7F).filter(lambda c: c != block[place]))
    with pytest.raises(KeyBlockError):
        protection.unwrap(block[:place] + other + block[place + 1 :])


def test_each_byte_of_the_standards_example_changed_in_turn_is_refused() -> None:
    protection = Protection.of(bytes.fromhex(EXAMPLE_KEY))
    for place, character in enumerate(EXAMPLE_BLOCK):
        for other in {"0", "1", "A", character.lower()} - {character}:
            with pytest.raises(KeyBlockError):
                protection.unwrap(EXAMPLE_BLOCK[:place] + other + EXAMPLE_BLOCK[place + 1 :])


def test_a_block_of_another_key_is_told_from_a_text_that_is_none() -> None:
    with pytest.raises(BlockChanged, match="made under another key"):
        Protection.of(bytes(32)).unwrap(EXAMPLE_BLOCK)
    with pytest.raises(KeyBlockError, match="says that it has 112 characters and has 111"):
        Protection.of(bytes.fromhex(EXAMPLE_KEY)).unwrap(EXAMPLE_BLOCK[:-1])


@given(
    st.text(max_size=40) | st.binary(max_size=80).map(lambda tail: "D0112P0AE00E0400" + tail.hex().upper())
)
def test_from_any_text_comes_only_the_blocks_own_error(text: str) -> None:
    with pytest.raises(KeyBlockError, match="no key block"):
        Protection.of(bytes(32)).unwrap(text)


@pytest.mark.parametrize(
    "header",
    [
        Header("p0", "A", "E"),
        Header("P0", "AA", "E"),
        Header("P0", "A", "E", "0"),
        Header("P0", "A", "E", "00", "e"),
        Header("P0", "A", "E", optional=(("PB", "0000"),)),
        Header("P0", "A", "E", optional=(("K", "00"),)),
        Header("P0", "A", "E", optional=(("KS", "\n"),)),
        Header("P0", "A", "E", optional=(("KS", "0" * 10_000),)),
    ],
)
def test_a_header_that_cannot_be_written_is_refused(header: Header) -> None:
    with pytest.raises(KeyBlockError):
        format_header(header, payload_bytes=32)


def test_a_protection_key_does_not_show_itself() -> None:
    assert repr(Protection.of(bytes(32))) == "Protection()"
