"""The archive: what a file is kept as, what its trailer seals, and whether another file has the same bytes."""

import errno
import os
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing import archive
from clearing.archive import archived, is_kept, keep, keep_file
from clearing.atomic_files import share
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


def test_what_waits_under_a_second_name_is_read_where_it_is_kept_and_copied_by_nobody(tmp_path: Path) -> None:
    kept_in, waiting, content = tmp_path / "archive", tmp_path / "inbox" / "a.ocb", bytes(range(200))
    digest = keep(kept_in, content)
    assert share(archived(kept_in, digest), waiting) and not share(archived(kept_in, digest), waiting)
    found = keep_file(kept_in, waiting)
    assert (found.digest, found.sealed) == (digest, sha256(content[:-PART_BYTES]).digest())
    assert waiting.samefile(archived(kept_in, digest)) and waiting.stat().st_nlink == 2
    assert is_kept(kept_in, digest, waiting)


def test_a_second_name_of_another_file_is_copied(tmp_path: Path) -> None:
    kept_in, sent, other = tmp_path / "archive", tmp_path / "sent.ocb", tmp_path / "their-own.ocb"
    sent.write_bytes(bytes(99))
    other.hardlink_to(sent)
    for _ in range(2):
        digest = keep_file(kept_in, sent).digest
        assert not sent.samefile(archived(kept_in, digest))
    other.write_bytes(b"theirs still")
    assert archived(kept_in, digest).read_bytes() == bytes(99)


def test_what_is_kept_is_written_to_by_nobody(tmp_path: Path) -> None:
    sent = tmp_path / "sent.ocb"
    sent.write_bytes(b"one")
    for digest in (keep_file(tmp_path / "archive", sent).digest, keep(tmp_path / "archive", b"other")):
        assert archived(tmp_path / "archive", digest).stat().st_mode & 0o222 == 0


def test_what_a_killed_night_left_half_copied_is_begun_anew(tmp_path: Path) -> None:
    kept_in, sent = tmp_path / "archive", tmp_path / "sent.ocb"
    sent.write_bytes(b"whole")
    kept_in.mkdir()
    left = kept_in / f"{sent.stat().st_ino}.part"
    left.write_bytes(b"half of something longer")
    left.chmod(0o400)
    assert archived(kept_in, keep_file(kept_in, sent).digest).read_bytes() == b"whole"
    assert not left.exists()


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_it_can_have_no_second_name_it_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    kept_in, waiting, linked = tmp_path / "archive", tmp_path / "inbox" / "a.ocb", os.link

    def link(of: Path, name: Path) -> None:
        if of.parent != name.parent:
            raise OSError(reason, os.strerror(reason))
        linked(of, name)

    digest = keep(kept_in, b"content")
    monkeypatch.setattr(os, "link", link)
    assert share(archived(kept_in, digest), waiting)
    assert waiting.read_bytes() == b"content" and waiting.stat().st_nlink == 1
    assert not share(archived(kept_in, digest), waiting)
    assert is_kept(kept_in, digest, waiting) and keep_file(kept_in, waiting).sealed is None


def test_what_cannot_be_linked_for_another_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    with pytest.raises(FileNotFoundError):
        share(tmp_path / "nothing", tmp_path / "inbox" / "a.ocb")
