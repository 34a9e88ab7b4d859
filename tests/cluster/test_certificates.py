"""Certificates of a run: private files, one authority, nothing else is let in."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from daskgen.cluster.certificates import Certificates, write_certificates


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    return write_certificates(folder)


def test_only_the_owner_may_read_them(files: Certificates) -> None:
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700
    for file in (files.authority, files.certificate, files.key):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_key_of_the_authority_is_nowhere(files: Certificates) -> None:
    assert {file.name for file in files.key.parent.iterdir()} == {"authority.pem", "node.pem", "node.key"}
    node = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    node.verify_directly_issued_by(authority)
    key = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLError):
        key.load_cert_chain(files.authority, files.key)


def test_they_are_valid_now_and_on_a_clock_that_is_behind(files: Certificates) -> None:
    now = datetime.datetime.now(tz=datetime.UTC)
    for file in (files.authority, files.certificate):
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        assert certificate.not_valid_before_utc < now - datetime.timedelta(minutes=30)
        assert certificate.not_valid_after_utc > now + datetime.timedelta(days=300)


def test_an_existing_file_is_not_written_over(files: Certificates) -> None:
    with pytest.raises(FileExistsError):
        write_certificates(files.key.parent)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """The protocol that both sides agree on, or the error that the client sees."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        try:
            with server.wrap_socket(connection, server_side=True) as secured:
                secured.sendall(b"in")
        except (ssl.SSLError, OSError):
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with (
            socket.create_connection(listener.getsockname(), timeout=5) as raw,
            client.wrap_socket(raw, server_hostname="127.0.0.1") as secured,
        ):
            # In TLS 1.3 the client learns at its first read whether its certificate was accepted.
            return str(secured.version()) if secured.recv(2) == b"in" else "refused"
    except (ssl.SSLError, OSError) as error:
        return f"refused: {error}"
    finally:
        thread.join()
        listener.close()


def contexts(files: Certificates) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    security = files.security()
    return (
        security.get_listen_args("scheduler")["ssl_context"],
        security.get_connection_args("client")["ssl_context"],
    )


def test_both_sides_with_the_runs_certificates_talk_tls_1_3(files: Certificates) -> None:
    server, client = contexts(files)
    assert handshake(server, client) == "TLSv1.3"
    assert files.security().require_encryption


def test_strict_verification_passes(files: Certificates) -> None:
    # What Python 3.13 does by default.
    server, client = contexts(files)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(server, client) == "TLSv1.3"


def test_certificates_of_another_run_are_refused(files: Certificates, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    server, client = contexts(files)
    other_server, other_client = contexts(write_certificates(other))
    assert handshake(server, other_client).startswith("refused")
    assert handshake(other_server, client).startswith("refused")


def test_a_client_without_a_certificate_is_refused(files: Certificates) -> None:
    server, _ = contexts(files)
    client = ssl.create_default_context(cafile=str(files.authority))
    client.check_hostname = False
    assert handshake(server, client).startswith("refused")
