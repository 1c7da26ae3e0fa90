"""What TLS connections are made with: files, bytes, the system's roots, and what changes."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etcd_election import TLS
from etcd_election._core.status import OwnCertificate
from etcd_election._io import certificates
from etcd_election._io.certificates import Certificates
from tests.support.authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def looked_at_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_LOOK_AGAIN", 0.0)


# The description


def test_paths_are_shown_and_contents_are_not() -> None:
    tls = TLS("/etc/ca.pem", b"certificate", b"secret", server_name="etcd")
    assert repr(tls) == (
        "TLS(ca='/etc/ca.pem', cert=<11 bytes>, key=<6 bytes>, server_name='etcd')"
    )
    assert repr(TLS()) == "TLS()"
    assert "secret" not in str(tls)


def test_it_is_a_value() -> None:
    tls = TLS("/etc/ca.pem", server_name="etcd")
    assert tls == TLS(ca="/etc/ca.pem", server_name="etcd")
    assert hash(tls) == hash(TLS("/etc/ca.pem", server_name="etcd"))
    assert pickle.loads(pickle.dumps(tls)) == tls
    with pytest.raises(AttributeError):
        tls.ca = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"ca": 1}, TypeError, "^ca must be a path or bytes, not int"),
        ({"ca": bytearray(b"x")}, TypeError, "^ca must be"),
        ({"cert": 1, "key": b""}, TypeError, "^cert must be"),
        ({"cert": b"", "key": object()}, TypeError, "^key must be"),
        ({"cert": "c"}, ValueError, "^cert was given without key"),
        ({"key": "k"}, ValueError, "^key was given without cert"),
        ({"server_name": b"etcd"}, TypeError, "^server_name must be a str"),
        ({"server_name": ""}, ValueError, "^server_name must not be empty"),
    ],
)
def test_what_it_does_not_take_is_named(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        TLS(**given)


# What is read


def test_no_key_is_ever_shown(authority: Authority) -> None:
    """Nor any other content."""
    pair, other = authority.issue("c"), authority.issue("c")
    for tls in (
        TLS(authority.pem, pair.cert, other.key[:-60]),
        TLS(authority.pem, pair.cert, b"secret"),
        TLS(authority.pem, other.key, pair.key),
    ):
        with pytest.raises(ValueError, match=r"PEM|damaged|fit") as caught:
            Certificates(tls)
        shown = f"{caught.value!r} {caught.value.__cause__!r}"
        assert "secret" not in shown
        assert not any(line in shown for line in other.key.decode().splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the first connection tells")
def test_pair_that_does_not_fit_together_is_refused(authority: Authority) -> None:
    with pytest.raises(ValueError, match="cert and key do not fit together"):
        Certificates(TLS(authority.pem, authority.issue("c").cert, authority.issue("c").key))


@pytest.mark.parametrize(
    ("begin", "headers"),
    [
        ("ENCRYPTED PRIVATE KEY", ""),
        ("EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"),
    ],
)
def test_encrypted_key_is_refused_without_asking_for_a_password(
    authority: Authority, begin: str, headers: str
) -> None:
    key = f"-----BEGIN {begin}-----\n{headers}QUJD\n-----END {begin}-----\n".encode()
    with pytest.raises(ValueError, match="key is encrypted"):
        Certificates(TLS(authority.pem, authority.issue("c").cert, key))


def test_text_around_certificates_does_no_harm(authority: Authority) -> None:
    Certificates(TLS("# für Tests\n".encode("latin-1") + authority.pem + b"\0"))


def test_certificate_and_key_may_be_in_one_file(authority: Authority) -> None:
    pair = authority.issue("c")
    path = authority.write(pair.key + pair.cert)
    Certificates(TLS(authority.path, path, path))


@pytest.mark.parametrize(("days", "own"), [(1, OwnCertificate.GOOD), (-1, OwnCertificate.EXPIRED)])
def test_own_certificates_end_is_known(
    authority: Authority, days: float, own: OwnCertificate
) -> None:
    pair = authority.issue("c", days=days)
    assert Certificates(TLS(authority.pem, pair.cert, pair.key)).own() is own


def test_without_a_certificate_there_is_none_to_show(authority: Authority) -> None:
    assert Certificates(TLS(authority.pem)).own() is OwnCertificate.NONE


@pytest.mark.parametrize("days", [1, 365 * 20, 365 * 40])
def test_date_is_read_in_both_its_forms(authority: Authority, days: int) -> None:
    """From 2050 on there are four digits of the year; OpenSSL is asked for a second opinion."""
    pair = authority.issue("c", days=days)
    path = authority.write(pair.cert)
    told = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    assert certificates._not_after(pair.cert) == ssl.cert_time_to_seconds(told["notAfter"])


@pytest.mark.parametrize("cut", range(0, 140, 7))
def test_certificate_that_makes_no_sense_has_no_date(authority: Authority, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert(authority.issue("c").cert.decode().split("\n\n")[0])
    pem = ssl.DER_cert_to_PEM_cert(der[:cut]).encode()
    assert certificates._not_after(pem) is None


def test_roots_of_file_and_folder_are_taken_together(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    folder = tmp_path / "roots"
    folder.mkdir()
    (folder / "0123abcd.0").symlink_to(other.path)
    (folder / "0123abcd.1").symlink_to(tmp_path / "gone")
    (folder / "README").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    roots = certificates._system_roots()
    assert roots.split(b"\n") == (authority.pem.strip() + b"\n" + other.pem.strip()).split(b"\n")


def test_system_without_roots_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"^ca: the operating system has no roots"):
        Certificates(TLS())


# What changes


def replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_same_files_make_the_same_connections(authority: Authority) -> None:
    made = Certificates(TLS(authority.path))
    assert made.current() == made.current()


def test_changed_file_makes_new_ones(authority: Authority) -> None:
    pair, later = authority.issue("c", days=-1), authority.issue("c")
    cert, key = authority.write(pair.cert), authority.write(pair.key)
    made = Certificates(TLS(authority.pem, cert, key))
    version, credentials = made.current()
    assert made.own() is OwnCertificate.EXPIRED
    replace(cert, later.cert)
    replace(key, later.key)
    assert made.current() != (version, credentials)
    assert made.current()[0] == version + 1
    assert made.own() is OwnCertificate.GOOD


def test_touched_file_changes_nothing(authority: Authority) -> None:
    path = authority.path
    made = Certificates(TLS(path))
    before = made.current()
    replace(path, authority.pem)
    assert made.current() == before


def _gone(path: Path) -> None:
    path.unlink()


def _half(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("spoil", [_gone, _half])
def test_unusable_change_is_warned_about_once_and_used_when_it_is_whole(
    authority: Authority, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    caplog.set_level(logging.WARNING)
    path = authority.path
    made = Certificates(TLS(path))
    before = made.current()
    spoil(path)
    for _ in range(3):
        assert made.current() == before
    assert len(caplog.records) == 1
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.write_bytes(authority.pem + authority.pem)
    assert made.current()[0] == before[0] + 1


def test_link_that_is_turned_to_another_folder_is_noticed(
    authority: Authority, tmp_path: Path
) -> None:
    """As Kubernetes replaces what it mounts."""
    for name, content in (("one", authority.pem), ("two", authority.pem * 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ca.pem").write_bytes(content)
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "one")
    made = Certificates(TLS(link / "ca.pem"))
    before = made.current()
    new = tmp_path / "data.new"
    new.symlink_to(tmp_path / "two")
    new.replace(link)
    assert made.current()[0] == before[0] + 1


def test_files_may_be_looked_at_before_it_is_time(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_LOOK_AGAIN", 60.0)
    path = authority.path
    made = Certificates(TLS(path))
    before = made.current()
    replace(path, authority.pem * 2)
    assert made.current() == before
    assert made.look() == made.version == before[0] + 1
    assert made.current() != before
