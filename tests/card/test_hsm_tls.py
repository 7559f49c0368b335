"""The client over TLS: it trusts the issuer it was told of and nobody else, and shows its own certificate."""

import socket
import ssl
from pathlib import Path

import pytest

from api.city_doors import hsm_tls
from api.doors import Refused
from api.settings import Settings
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from tests.hsm_sim.machine_room import program, serving
from tests.support.hsm_peers import answers_well, peer
from tests.support.tls_files import Issuer


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("tls"), "issuer")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("strange"), "stranger")


class TlsPeer:
    """Answers echoes over TLS, to those alone whom the issuer has certified."""

    def __init__(self, issuer: Issuer) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(issuer.certify("hsm"))
        self._context.load_verify_locations(issuer.file)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.shown: list[str] = []

    def __call__(self, connection: socket.socket, number: int) -> None:
        with self._context.wrap_socket(connection, server_side=True) as secured:
            found = secured.getpeercert()
            assert found is not None
            self.shown.append(str(found["subject"]))
            while head := secured.recv(2):
                body = secured.recv(int.from_bytes(head, "big"))
                answer = body[:4] + b"B300" + body[10:]
                secured.sendall(len(answer).to_bytes(2, "big") + answer)


def settings(issuer: Issuer, certificate: Path | None) -> Settings:
    return Settings(hsm="127.0.0.1:1500", hsm_ca=issuer.file, hsm_certificate=certificate)


def test_a_client_with_a_certificate_is_answered_on_one_connection(issuer: Issuer) -> None:
    play = TlsPeer(issuer)
    tls = hsm_tls(settings(issuer, issuer.certify("city")))
    with peer(play) as (host, port, seen), Hsm.at([(host, port)], timeout_s=5, tls=tls) as hsm:
        assert [hsm.echo(b"one"), hsm.echo(b"two")] == [b"one", b"two"]
        # A connection on which the session's tickets still wait unread looks as if it had been spoken on.
        assert len(seen) <= 2
    assert "city" in play.shown[0]


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
def test_a_client_that_the_hsm_does_not_know_is_turned_away(
    issuer: Issuer, stranger: Issuer, shown: str
) -> None:
    certificate = None if shown == "none" else stranger.certify("intruder")
    play = TlsPeer(issuer)
    with (
        peer(play) as (host, port, _),
        Hsm.at([(host, port)], timeout_s=5, tls=hsm_tls(settings(issuer, certificate))) as hsm,
        pytest.raises(HsmError, match="unreachable"),
    ):
        hsm.echo(b"x")
    assert play.shown == []


def test_an_hsm_that_the_client_does_not_know_gets_no_request(issuer: Issuer, stranger: Issuer) -> None:
    play = TlsPeer(stranger)
    tls = hsm_tls(settings(issuer, issuer.certify("city")))
    with (
        peer(play) as (host, port, _),
        Hsm.at([(host, port)], timeout_s=5, tls=tls) as hsm,
        pytest.raises(HsmError, match=r"unreachable.*certificate verify failed"),
    ):
        hsm.echo(b"x")


def test_an_hsm_in_the_clear_is_unreachable_over_tls(issuer: Issuer) -> None:
    tls = hsm_tls(settings(issuer, None))
    with (
        peer(answers_well) as (host, port, _),
        Hsm.at([(host, port)], timeout_s=1, tls=tls) as hsm,
        pytest.raises(HsmError, match="unreachable"),
    ):
        hsm.echo(b"x")


def test_files_that_will_not_do_are_named_with_the_remedy(issuer: Issuer, tmp_path: Path) -> None:
    assert hsm_tls(Settings(hsm="127.0.0.1:1500")) is None
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not a certificate")
    for chosen in (
        Settings(hsm_ca=nonsense),
        Settings(hsm_ca=tmp_path / "missing.pem"),
        settings(issuer, issuer.file),
    ):
        with pytest.raises(Refused, match=r"TLS to the HSM: .*; give PEM files"):
            hsm_tls(chosen)
    with pytest.raises(Refused, match="ONECARD_HSM_CA is not"):
        hsm_tls(Settings(hsm_certificate=issuer.file))


def test_the_hsm_itself_and_its_client_meet_over_tls(issuer: Issuer, tmp_path: Path) -> None:
    home, certificate = tmp_path / "hsm", issuer.certify("machine")
    certificate.chmod(0o600)
    assert program("init", "--home", home).returncode == 0
    words = ("--tls-cert", certificate, "--tls-key", certificate, "--tls-client-ca", issuer.file)
    with serving(home, *map(str, words)) as (_, port):
        ours = hsm_tls(settings(issuer, issuer.certify("city")))
        with Hsm.at([("127.0.0.1", port)], timeout_s=10, tls=ours) as hsm:
            assert len(hsm.random(8)) == 8
        nameless = hsm_tls(settings(issuer, None))
        with (
            Hsm.at([("127.0.0.1", port)], timeout_s=10, tls=nameless) as hsm,
            pytest.raises(HsmError, match="unreachable"),
        ):
            hsm.random(8)
