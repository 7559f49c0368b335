"""The archive: what a file is kept as, what its trailer seals, and whether another file has the same bytes."""

import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing import archive
from clearing.archive import archived, is_kept, keep_file
from clearing.wire.frame import PART_BYTES

SMALL_PIECE = 100


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=4 * SMALL_PIECE + PART_BYTES))
def test_what_the_trailer_seals_is_known_when_the_file_is_kept(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "PIECE_BYTES", SMALL_PIECE)
        sent, kept_in = Path(folder) / "sent.ocb", Path(folder) / "archive"
        sent.write_bytes(content)
        kept = keep_file(kept_in, sent)
        again = keep_file(kept_in, sent)
        assert archived(kept_in, kept.digest).read_bytes() == content
        assert [path for path in kept_in.iterdir() if path.is_file()] == []
    assert kept.digest == again.digest == sha256(content).hexdigest()
    sealed = sha256(content[:-PART_BYTES]).digest() if len(content) > PART_BYTES else None
    assert (kept.sealed, again.sealed) == (sealed, None), "what was there before is read where it lies"


@pytest.mark.parametrize("place", [0, SMALL_PIECE - 1, SMALL_PIECE, 3 * SMALL_PIECE - 1])
def test_a_file_that_differs_in_one_byte_is_not_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr(archive, "PIECE_BYTES", SMALL_PIECE)
    sent, kept_in, content = tmp_path / "sent.ocb", tmp_path / "archive", bytes(range(100)) * 3
    sent.write_bytes(content)
    digest = keep_file(kept_in, sent).digest
    assert is_kept(kept_in, digest, sent)
    for other in (content[:place] + b"\xff" + content[place + 1 :], content[:place], content + b"\x00"):
        sent.write_bytes(other)
        assert not is_kept(kept_in, digest, sent)
    sent.write_bytes(content)
    assert not is_kept(kept_in, sha256(b"").hexdigest(), sent)
