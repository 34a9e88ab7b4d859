"""Certificates of one run: whoever does not hold them can neither see nor command its scheduler and workers.

A Dask scheduler runs any code that is sent to it, and the loopback interface is shared by all users of a machine.
Each run therefore has a certificate authority of its own, whose key is thrown away once it has signed one
certificate for scheduler, workers and client. Both sides of every connection must show that certificate.
"""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed.security import Security

__all__ = ["Certificates", "write_certificates"]

_VALID = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(hours=1)  # between the nodes of a cluster


@dataclass(frozen=True)
class Certificates:
    """Files of a run's certificates: the authority's, the node's, and the node's private key."""

    authority: Path
    certificate: Path
    key: Path

    def security(self) -> Security:
        """Dask's settings that use these files for every role and accept nothing unencrypted."""
        roles = {
            f"tls_{role}_{part}": str(path)
            for role in ("client", "scheduler", "worker")
            for part, path in (("cert", self.certificate), ("key", self.key))
        }
        return Security(
            require_encryption=True,
            tls_ca_file=str(self.authority),
            tls_min_version=ssl.TLSVersion.TLSv1_3,
            **roles,
        )


def write_certificates(folder: str | os.PathLike[str]) -> Certificates:
    """Make the certificates of a run in `folder`, which is set to mode 0700; the files have mode 0600.

    Keys are on the curve P-256 (X.509 version 3, signed with SHA-256).
    """

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(tz=datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("daskgen run"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    authority_key, node_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        certificate("daskgen run", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    node = (
        certificate("daskgen node", node_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("daskgen-node")]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = node_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    folder = Path(folder)
    folder.chmod(0o700)
    files = Certificates(folder / "authority.pem", folder / "node.pem", folder / "node.key")
    _write_private(files.authority, authority.public_bytes(pem))
    _write_private(files.certificate, node.public_bytes(pem))
    _write_private(files.key, private)
    return files


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_private(path: Path, content: bytes) -> None:
    """A new file that was never readable for anybody else."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
