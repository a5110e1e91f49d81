"""A real container registry (docker-registry) for measurements and tests, and a slow line to it.

    python benchmarks/registry_server.py 5001 127.0.0.1:5000 0.010

keeps a line open from port 5001 to a registry, with a round trip of 10 ms.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BINARY = shutil.which("docker-registry")
LOGIN = ("fleet", "secret")
HTPASSWD = "fleet:$2b$04$PN1Buei3153k2uCVfdKUyufGWUC7FPa20zNqdTajXV3gKPCZbYRhe"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass
class RegistryServer:
    """A docker-registry on this machine, with its storage in a folder.

    Attributes:
        folder: for its storage, configuration and log.
        extra: more of its configuration, `{"auth": {...}}`.
        certificate: certificate and key, for TLS.
    """

    folder: Path
    extra: Mapping[str, Any] = field(default_factory=dict)
    certificate: tuple[Path, Path] | None = None
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Address for the names of images."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it said, a line for each request."""
        return self.folder / "registry.log"

    def start(self) -> RegistryServer:
        """Start it, or start it again on the same port, and wait until it listens."""
        assert BINARY is not None, "docker-registry is not installed"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        http_part: dict[str, Any] = {"addr": self.host, "secret": "one of many"}
        if self.certificate:
            http_part["tls"] = {"certificate": str(self.certificate[0]), "key": str(self.certificate[1])}
        config = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {
                "cache": {"blobdescriptor": "inmemory"},  # as the packages of distributions configure it
                "filesystem": {"rootdirectory": str(self.folder / "store")},
                "delete": {"enabled": True},
            },
            "http": http_part,
        }
        config["storage"] |= self.extra.get("storage", {})  # type: ignore[operator]
        config |= {name: part for name, part in self.extra.items() if name != "storage"}
        path = self.folder / "config.json"
        path.write_text(json.dumps(config))  # JSON is YAML
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", str(path)], stdout=log, stderr=log)
        wait_for(self.port, self.process)
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Stop it; with SIGKILL as a power cut would."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def requests(self) -> list[str]:
        """Return method and path of every request that it answered."""
        return re.findall(r'"((?:GET|HEAD|POST|PUT|PATCH|DELETE) [^ ?]*)', self.log.read_text("utf-8"))


@dataclass
class Line:
    """A line to a registry with a round trip of so many seconds, in a process of its own.

    Attributes:
        target: the registry's host and port.
        seconds: the round trip.
        mounts: whether requests to mount a blob get through as such; some registries do not know them.
    """

    target: str
    seconds: float
    mounts: bool = True
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Address of its near end."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Line:
        """Open it."""
        self.port = free_port()
        command = [
            sys.executable,
            __file__,
            str(self.port),
            self.target,
            str(self.seconds),
            *(() if self.mounts else ("no",)),
        ]
        self.process = subprocess.Popen(command)
        wait_for(self.port, self.process)
        return self

    def stop(self) -> None:
        """Cut it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process listens on a port."""
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.02)
        else:
            return


def push_tiny_base(
    server: RegistryServer,
    reference: str,
    *,
    layers: int | Sequence[bytes] = 6,
    platform: Mapping[str, str] | None = None,
    docker_types: bool = False,
) -> str:
    """Push a base image of small made-up layers, and return the digest of its manifest.

    Args:
        server: without login and TLS.
        reference: repository and tag.
        layers: them, or how many.
        platform: `{"os": "linux", "architecture": "amd64"}`.
        docker_types: whether it is of Docker's schema 2 rather than of OCI.
    """
    repository, tag = reference.rsplit(":", 1)
    contents = [os.urandom(2000) for _ in range(layers)] if isinstance(layers, int) else layers
    config = json.dumps(
        {
            **(platform or {"os": "linux", "architecture": "amd64"}),
            "created": "2026-11-22T00:00:00Z",
            "config": {"User": "10001", "Labels": {"io.datadriver.content-key": "0"}, "Hostname": ""},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(content) for content in contents]},
        }
    ).encode()
    docker = "application/vnd.docker."
    kinds = (
        (f"{docker}distribution.manifest.v2+json", f"{docker}container.image.v1+json", f"{docker}image.rootfs.diff.tar")
        if docker_types
        else (MANIFEST_TYPE, CONFIG_TYPE, LAYER_TYPE)
    )
    for content in (*contents, config):
        push_blob(server, repository, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": kinds[0],
        "config": descriptor(kinds[1], config),
        "layers": [descriptor(kinds[2], content) for content in contents],
    }
    return push_manifest(server, repository, tag, manifest)


def push_blob(server: RegistryServer, repository: str, content: bytes) -> None:
    """Push a blob."""
    begun = call(server, "POST", f"/v2/{repository}/blobs/uploads/")
    where = str(begun.getheader("location"))
    assert call(server, "PUT", f"{where}&digest={digest_of(content)}", content).status == 201


def push_manifest(server: RegistryServer, repository: str, tag: str, manifest: Mapping[str, Any]) -> str:
    """Push a manifest and return its digest."""
    content = json.dumps(manifest).encode()
    headers = {"Content-Type": str(manifest["mediaType"])}
    assert call(server, "PUT", f"/v2/{repository}/manifests/{tag}", content, headers).status == 201
    return digest_of(content)


def call(
    server: RegistryServer, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    """Send one request."""
    connection = http.client.HTTPConnection(server.host)
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def descriptor(kind: str, content: bytes) -> dict[str, Any]:
    """Describe a blob as manifests do."""
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and a certificate of this machine signed by it."""

    bundle: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Write the three files."""

        def named(name: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        start = datetime.now(UTC) - timedelta(days=1)

        def builder(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            mine = x509.SubjectKeyIdentifier.from_public_key(public)
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
            return (
                x509.CertificateBuilder(named("A plant's own CA"), named(subject), public, x509.random_serial_number())
                .not_valid_before(start)
                .not_valid_after(start + timedelta(days=30))
                .add_extension(mine, critical=False)
                .add_extension(issuer, critical=False)
            )

        uses = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        authority = (
            builder("A plant's own CA", ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(uses, critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        mine = builder("localhost", key.public_key()).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        made.bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        made.certificate.write_bytes(mine.public_bytes(serialization.Encoding.PEM))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float, mounts: bool) -> None:
    """Hand on what comes, each piece so many seconds later; pieces on their way do not wait for each other."""
    loop = asyncio.get_running_loop()
    while piece := await source.read(1 << 16):
        loop.call_later(seconds, sink.write, piece if mounts else piece.replace(b"?mount=sha", b"?ignored=a"))
    loop.call_later(seconds, sink.close)


async def keep_line(port: int, target: str, seconds: float, mounts: bool) -> None:
    """Listen on a port, and carry what comes to the target and back."""
    host, _, target_port = target.rpartition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(target_port))
        ways = carry(reader, far_writer, seconds / 2, mounts), carry(far_reader, writer, seconds / 2, True)
        await asyncio.gather(*ways, return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """Keep a line open until it is killed."""
    port, target, seconds, *lacks = arguments
    asyncio.run(keep_line(int(port), target, float(seconds), not lacks))


if __name__ == "__main__":
    main(sys.argv[1:])
