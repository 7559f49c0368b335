"""TLS between clients and the HSM: who shows a certificate of ours is answered, nobody else is."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hsm_sim.audit import AuditLog, verify

from tests.hsm_sim.machine_room import program, serving
from tests.hsm_sim.raw_peer import frame

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Authority:
    """Signs certificates; `file` holds its own."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> "Authority":
        folder.mkdir()
        key = generate_private_key(SECP256R1())
        certificate = signed(name, key, name, key, authority=True)
        (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(key, certificate, folder / "ca.pem")

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate for `name`, good for the loopback address, and of its key."""
        key = generate_private_key(SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        made = signed(name, key, str(issuer), self.key, authority=False)
        files = self.file.with_name(f"{name}.pem"), self.file.with_name(f"{name}.key")
        files[0].write_bytes(made.public_bytes(Encoding.PEM))
        write_key(files[1], key, NoEncryption())
        return files


def write_key(path: Path, key: EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def signed(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = x509.CertificateBuilder(
        named(issuer), named(name), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(NOW - timedelta(hours=1)).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return builder.sign(issuer_key, SHA256())


def asked(port: int, context: ssl.SSLContext) -> bytes:
    """What the HSM answers to an echo through TLS. Raises OSError where it does not let us in."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as peer,
    ):
        peer.sendall(frame(b"B2", b"0003abc") + frame(b"??"))
        answers = b""
        while len(answers) < 23:
            piece = peer.recv(100)
            if not piece:
                raise ConnectionResetError("the HSM hung up")
            answers += piece
    return answers


def client_of(trusted: Authority, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted.file))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


@contextmanager
def guarded(tmp_path: Path, ours: Authority) -> Iterator[tuple[Path, int]]:
    home = tmp_path / "hsm"
    assert program("init", "--home", home).returncode == 0
    certificate, key = ours.issue("hsm")
    words = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(ours.file))
    with serving(home, *words) as (_, port):
        yield home, port


def test_a_client_with_our_certificate_is_answered_and_named_in_the_log(tmp_path: Path) -> None:
    ours = Authority.make(tmp_path / "ours", "City root")
    with guarded(tmp_path, ours) as (home, port):
        answers = asked(port, client_of(ours, ours.issue("gateway")))
    assert answers == frame(b"B3", b"00abc") + frame(b"?@", b"68")
    assert "by TLS, with client certificates" in (home / "log").read_text()
    lines, broken = verify(AuditLog(home).texts())
    assert broken is None
    assert [line.facts["client"] for line in lines if line.event == "refused"] == ["gateway at 127.0.0.1"]


def test_without_a_certificate_of_ours_nobody_is_answered(tmp_path: Path) -> None:
    ours, others = (
        Authority.make(tmp_path / "ours", "City root"),
        Authority.make(tmp_path / "others", "Other"),
    )
    with guarded(tmp_path, ours) as (home, port):
        for certificate in (None, others.issue("gateway")):
            with pytest.raises(OSError, match=r"certificate|alert|hung up|reset|EOF|Broken"):
                asked(port, client_of(ours, certificate))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(frame(b"NC"))
            try:
                assert b"SIMULATOR" not in plain.recv(1000)
            except ConnectionResetError:
                assert home.exists()
        assert asked(port, client_of(ours, ours.issue("till")))[:2] == b"\0\x0b"
    assert "Traceback" not in (home / "log").read_text()


def test_a_client_that_trusts_another_root_hangs_up(tmp_path: Path) -> None:
    ours, others = (
        Authority.make(tmp_path / "ours", "City root"),
        Authority.make(tmp_path / "others", "Other"),
    )
    with guarded(tmp_path, ours) as (_, port), pytest.raises(ssl.SSLCertVerificationError):
        asked(port, client_of(others, ours.issue("gateway")))


def test_certificates_that_cannot_be_used_are_said_so(tmp_path: Path) -> None:
    ours = Authority.make(tmp_path / "ours", "City root")
    certificate, key = ours.issue("hsm")
    other_key, locked = ours.issue("other")[1], tmp_path / "locked.key"
    write_key(locked, generate_private_key(SECP256R1()), BestAvailableEncryption(b"a password"))
    home, loose = tmp_path / "hsm", tmp_path / "loose.key"
    assert program("init", "--home", home).returncode == 0
    loose.write_bytes(key.read_bytes())
    loose.chmod(0o640)
    for given, said in (
        ((certificate, key, None), "go together; give all three or none"),
        (
            (certificate, loose, ours.file),
            "loose.key has mode 0640; others must not reach it: chmod it to 0600",
        ),
        ((certificate, other_key, ours.file), "are no certificate and its key"),
        ((certificate, locked, ours.file), "the key is under a password, which the HSM does not take"),
        (
            (certificate, tmp_path / "none.key", ours.file),
            "none.key cannot be read: No such file or directory",
        ),
        ((certificate, key, key), "holds no certificate of an authority"),
    ):
        names = ("--tls-cert", "--tls-key", "--tls-client-ca")
        words = [str(word) for pair in zip(names, given, strict=True) if pair[1] is not None for word in pair]
        refused = program("serve", "--home", home, "--port", "0", *words)
        assert refused.returncode == 2, said
        assert said in refused.stderr
