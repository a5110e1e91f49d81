"""Logins: Docker's configuration and helpers, Basic, tokens, TLS with a CA of one's own."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from datadriver.errors import ConfigError
from datadriver.images.credentials import Credentials, find_credentials
from datadriver.images.registry import Registry
from datadriver.images.spec import Image

pytestmark = pytest.mark.registry
Images = Callable[..., list[Image]]


def log_in(folder: Path, host: str, user: str = "fleet", password: str = "secret") -> None:
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))


@pytest.fixture
def locked(tools: ModuleType, start: Callable[..., Any], images: Images, tmp_path: Path) -> tuple[Any, list[Image]]:
    """A registry that wants name and password, with a base in it, and images to push."""
    server = start()
    fleet = images(server, 5)
    server.stop()
    (tmp_path / "htpasswd").write_text(tools.HTPASSWD + "\n")
    server.extra = {"auth": {"htpasswd": {"realm": "fleet", "path": str(tmp_path / "htpasswd")}}}
    return server.start(), fleet


def test_name_and_password_come_from_dockers_configuration(locked: Any, docker_config: Path) -> None:
    server, fleet = locked
    log_in(docker_config, server.host)
    registry = Registry(server.host)
    assert len(list(registry.push(fleet, base_repository="pumps/base"))) == 5
    assert registry.base("pumps/base:1") is not None


def test_without_a_login_the_error_says_how_to_get_one(locked: Any) -> None:
    server, fleet = locked
    with pytest.raises(ConfigError, match=rf"wants a login, and Docker's .* has none: `docker login {server.host}`"):
        list(Registry(server.host).push(fleet, base_repository="pumps/base"))


def test_a_wrong_password_is_said_once_and_not_for_each_image(locked: Any, docker_config: Path) -> None:
    server, fleet = locked
    log_in(docker_config, server.host, password="wrong")
    with pytest.raises(ConfigError, match=r"logging in: answered 401 .*`docker login .* was not accepted") as caught:
        list(Registry(server.host).push(fleet, base_repository="pumps/base"))
    assert "wrong" not in caught.value.message


HELPER = """#!/bin/sh
read host
if [ "$1" = get ] && [ "$host" = "{host}" ]; then
  echo '{{"ServerURL": "'$host'", "Username": "fleet", "Secret": "secret"}}'
else
  echo "credentials not found in native keychain"; exit 1
fi
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a credential helper `plant` that knows one host."""

    def install(host: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "docker-credential-plant"
        program.write_text(HELPER.format(host=host))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return install


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked(locked: Any, docker_config: Path, helper: Callable[..., None], key: str) -> None:
    server, fleet = locked
    helper(server.host)
    value: Any = {server.host: "plant"} if key == "credHelpers" else "plant"
    (docker_config / "config.json").write_text(json.dumps({key: value}))
    assert len(list(Registry(server.host).push(fleet, base_repository="pumps/base"))) == 5
    assert find_credentials("elsewhere:5000") is None


def test_a_helper_that_is_not_installed_and_a_broken_file_are_said(docker_config: Path) -> None:
    path = docker_config / "config.json"
    path.write_text(json.dumps({"credsStore": "nowhere"}))
    with pytest.raises(ConfigError, match=r"gives no login for r:1: .*docker-credential-nowhere not installed"):
        find_credentials("r:1")
    path.write_text(json.dumps({"auths": {"r:1": {"auth": "bm8gY29sb24="}}}))
    with pytest.raises(ConfigError, match=r"config\.json gives no login for r:1: .*Log in with `docker login r:1`"):
        find_credentials("r:1")


def test_identity_tokens_and_nothing_are_understood(docker_config: Path) -> None:
    assert find_credentials("r:1") is None
    entries = {"r:1": {"identitytoken": "abc"}, "https://index.docker.io/v1/": {"auth": "YTpi"}}
    (docker_config / "config.json").write_text(json.dumps({"auths": entries}))
    assert find_credentials("r:1") == Credentials(identity_token="abc")
    assert find_credentials("docker.io") == Credentials("a", "b")
    assert "abc" not in repr(find_credentials("r:1"))


class TokenServer:
    """Gives tokens for what is asked, as the registries of companies do, to whoever has the password."""

    def __init__(self, key: str, certificate: bytes) -> None:
        self.asked: list[list[str]] = []
        self.life = 300
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                login = base64.b64decode(self.headers.get("Authorization", "Basic ")[6:]).decode()
                self._answer(query.get("scope", []), login == "fleet:secret")

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._answer(form["scope"][0].split(), form["refresh_token"] == ["abc"])

            def _answer(self, scopes: list[str], known: bool) -> None:
                outer.asked.append(scopes)
                self.send_response(200 if known else 401)
                self.end_headers()
                if known:
                    self.wfile.write(json.dumps(outer.token(scopes, key, certificate)).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, scopes: list[str], key: str, certificate: bytes) -> dict[str, Any]:
        parts = [scope.split(":") for scope in scopes]
        access = [{"type": kind, "name": name, "actions": can.split(",")} for kind, name, can in parts]
        now = int(time.time())
        claims = {"iss": "plant", "aud": "registry", "nbf": now - 60, "exp": now + 300, "iat": now, "access": access}
        header = {"x5c": [base64.b64encode(certificate).decode()]}
        return {"token": jwt.encode({**claims, "sub": "fleet"}, key, "ES256", header), "expires_in": self.life}


@pytest.fixture
def token_registry(
    tools: ModuleType, start: Callable[..., Any], images: Images, tmp_path: Path
) -> Iterator[tuple[Any, TokenServer, list[Image]]]:
    """A registry that wants a token for each repository."""
    server = start()
    fleet = images(server, 5)
    server.stop()
    authority = tools.Authority.make(tmp_path)
    certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    tokens = TokenServer(authority.key.read_text(), certificate.public_bytes(Encoding.DER))
    realm = f"http://127.0.0.1:{tokens.server.server_port}/token"
    token = {"realm": realm, "service": "registry", "issuer": "plant", "rootcertbundle": str(authority.bundle)}
    server.extra = {"auth": {"token": token}}
    yield server.start(), tokens, fleet
    tokens.server.shutdown()
    tokens.server.server_close()


def test_one_token_for_each_repository_is_enough(token_registry: Any, docker_config: Path) -> None:
    server, tokens, fleet = token_registry
    log_in(docker_config, server.host)
    assert len(list(Registry(server.host).push(fleet, base_repository="pumps/base"))) == 5
    wanted = [[f"repository:{image.repository}:pull,push", "repository:pumps/base:pull"] for image in fleet]
    assert sorted(tokens.asked) == sorted(wanted)


def test_an_identity_token_is_exchanged(token_registry: Any, docker_config: Path) -> None:
    server, _, fleet = token_registry
    (docker_config / "config.json").write_text(json.dumps({"auths": {server.host: {"identitytoken": "abc"}}}))
    assert len(list(Registry(server.host).push(fleet, base_repository="pumps/base"))) == 5


def test_a_token_that_is_over_is_replaced(token_registry: Any, docker_config: Path) -> None:
    server, tokens, fleet = token_registry
    tokens.life = 0
    log_in(docker_config, server.host)
    assert len(list(Registry(server.host).push(fleet, base_repository="pumps/base"))) == 5
    assert len(tokens.asked) > len(fleet)


def test_a_token_server_that_refuses_is_said(token_registry: Any, docker_config: Path) -> None:
    server, _, fleet = token_registry
    log_in(docker_config, server.host, password="wrong")
    with pytest.raises(ConfigError, match=r"asking 127\.0\.0\.1 for a token: answered 401"):
        list(Registry(server.host).push(fleet, base_repository="pumps/base"))


@pytest.fixture
def encrypted(tools: ModuleType, start: Callable[..., Any], images: Images, tmp_path: Path) -> Any:
    """A registry behind TLS, the CA of its certificate, and images to push."""
    server = start()
    fleet = images(server, 5)
    server.stop()
    authority = tools.Authority.make(tmp_path)
    server.certificate = (authority.certificate, authority.key)
    return server.start(), authority, fleet


def test_tls_with_a_ca_of_ones_own(encrypted: Any) -> None:
    server, authority, fleet = encrypted
    registry = Registry(server.host, certificates=authority.bundle)
    assert len(list(registry.push(fleet, base_repository="pumps/base"))) == 5
    assert registry.digests([fleet[0].name]) == {fleet[0].name: fleet[0].digest}


def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: Any, tools: ModuleType, tmp_path: Path) -> None:
    server, _, _ = encrypted
    (tmp_path / "other").mkdir()
    stranger = tools.Authority.make(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"its certificate is not to be trusted .*Give the CA's certificate"):
        Registry(server.host, certificates=stranger.bundle).base("pumps/base:1")


def test_certificates_that_are_none_are_refused(encrypted: Any, tmp_path: Path) -> None:
    server, _, _ = encrypted
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match=r"no CA certificates in PEM format can be read there"):
            Registry(server.host, certificates=path).base("pumps/base:1")


def test_tls_and_none_do_not_mix(encrypted: Any, tools: ModuleType, start: Callable[..., Any]) -> None:
    server, authority, _ = encrypted
    with pytest.raises(ConfigError, match=r"is not a container registry: it answered 400 .*plain HTTP"):
        Registry(server.host).base("pumps/base:1")
    plain = start("plain")
    with pytest.raises(ConfigError, match=r"no TLS is spoken there .*Plain HTTP is for a registry on this machine"):
        Registry(plain.host, certificates=authority.bundle).base("pumps/base:1")


def test_a_slow_line_with_tls_changes_nothing(encrypted: Any, tools: ModuleType) -> None:
    server, authority, fleet = encrypted
    line = tools.Line(server.host, 0.010).start()
    try:
        pushed = list(Registry(line.host, certificates=authority.bundle).push(fleet, base_repository="pumps/base"))
    finally:
        line.stop()
    assert {one.digest for one in pushed} == {image.digest for image in fleet}
