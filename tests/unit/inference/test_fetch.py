"""Which addresses a stranger may send the daemon to, and what counts as a picture; nothing here leaves the machine."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd._types import Role
from hotshotd.clock import SystemClock
from hotshotd.errors import InferenceNonsense, InferenceRejected, InferenceUnavailable
from hotshotd.inference.addresses import is_public, look_up
from hotshotd.inference.fetch import MAX_URL_CHARS, Fetcher
from hotshotd.inference.http import ServiceSession
from hotshotd.inference.pictures import MAX_PICTURE_BYTES, decode_picture, find_kind, make_data_url, make_picture
from hotshotd.quota.stub import StubQuota
from hotshotd.sandbox.pictures import draw_png

PNG = draw_png("ducks")

PRIVATE = [
    "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:0:4136:e378::1",
    "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::1111%eth0",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_is_public__refuses_what_is_not_the_internet(address: str) -> None:
    """Private, loopback, link-local, multicast, reserved, and IPv6 that hides an IPv4 address: all refused."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public__allows_the_internet(address: str) -> None:
    """Hosts of the internet are allowed, those behind NAT64 too."""
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "0x7f.0.0.1", "2130706433", "example.com", "[::1]"])
def test_is_public__refuses_what_is_no_address(text: str) -> None:
    """Only numbers in the usual form are addresses."""
    assert not is_public(text)


@given(st.ip_addresses(v=6))
def test_is_public__never_allows_what_python_calls_private(address: ipaddress.IPv6Address) -> None:
    """The table only adds to what the standard library refuses, NAT64 aside."""
    if is_public(str(address)):
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_link_local))
        assert address.ipv4_mapped is None


@given(st.ip_addresses(v=4))
def test_is_public__agrees_with_python_on_ipv4(address: ipaddress.IPv4Address) -> None:
    """What is allowed is global and for one host; what hides in IPv6's ways of writing it never is."""
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
    assert not is_public(f"::ffff:{address}")
    assert not is_public(f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1")


def test_look_up__knows_this_machine() -> None:
    """A number is its own address, and is given once."""
    assert look_up("127.0.0.1", 443) == ("127.0.0.1",)


# --- addresses of pictures -------------------------------------------------------------------


class Resolver:
    """A `look_up` that writes down what it is asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if not self.answers:
            raise OSError("no such host")
        return self.answers


class Desk:
    """A fetcher whose every permit is counted."""

    def __init__(self, resolver: Resolver, *, own_url: str | None = None) -> None:
        self._quota = StubQuota(SystemClock(), budgets={"iama": 100})
        session = ServiceSession(admission=self._quota.enter("iama"), clock=SystemClock(), connect_seconds=1.0)
        self.fetcher = Fetcher(session=session, role=Role.CAPTION, own_url=own_url, look_up=resolver)

    @property
    def requests(self) -> int:
        return sum(bot.requests for bot in self._quota.compute_figures().bots)


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "x", "//host/x.png", "ftp://host/x.png", "file:///etc/passwd", "data:image/png;base64,AAAA",
        "gopher://host/", "javascript:alert(1)", "https://", "https:///x.png", "https://host:99999/",
        "https://host:x/", "https://[::1/x.png", "https://ho st/x.png", "https://a%00b/x.png", "https://*.example/",
        "unix:/run/hotshot/control.sock", "https://host/" + "x" * MAX_URL_CHARS, "https://-a/", "https://a_%2e/",
    ],
)  # fmt: skip
def test_fetch__refuses_what_is_no_address_of_a_web_page(url: str) -> None:
    """What can't be an address is refused, without a look-up or a request."""
    resolver = Resolver("8.8.8.8")
    desk = Desk(resolver)
    with pytest.raises(InferenceRejected, match="no address of a web page"):
        desk.fetcher.fetch(url)
    assert (resolver.asked, desk.requests) == ([], 0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host.example/x.png", "is not https"),
        ("http://127.0.0.1/x.png", "is not https"),
        ("https://user@host.example/x.png", "user name"),
        ("https://127.0.0.1:80@host.example/x.png", "user name"),
    ],
)
def test_fetch__refuses_before_looking_up(url: str, why: str) -> None:
    """Plain http and names of users are refused as they stand."""
    resolver = Resolver("8.8.8.8")
    with pytest.raises(InferenceRejected, match=why):
        Desk(resolver).fetcher.fetch(url)
    assert resolver.asked == []


@pytest.mark.parametrize("address", PRIVATE)
def test_fetch__refuses_names_of_the_inside(address: str) -> None:
    """A name of the internet that stands for an address inside is refused; nothing is sent."""
    resolver = Resolver(address)
    desk = Desk(resolver)
    with pytest.raises(InferenceRejected, match=r"trap\.example has no address on the internet"):
        desk.fetcher.fetch("https://trap.example/x.png")
    assert (resolver.asked, desk.requests) == ([("trap.example", 443)], 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/", "https://0x7f.1/",
        "https://127.1/", "https://0/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://169.254.169.254/",
        "https://127。0。0。1/", "https://①②⑦.0.0.1/", "https://017700000001/",
    ],
)  # fmt: skip
def test_fetch__knows_every_way_to_write_this_machine(url: str) -> None:
    """However an address is written, what the resolver makes of it is what counts."""
    quota = StubQuota(SystemClock(), budgets={"iama": 100})
    session = ServiceSession(admission=quota.enter("iama"), clock=SystemClock(), connect_seconds=1.0)
    with pytest.raises((InferenceRejected, InferenceUnavailable), match="no address|no such host name"):
        Fetcher(session=session, role=Role.CAPTION).fetch(url)
    assert sum(bot.requests for bot in quota.compute_figures().bots) == 0


def test_fetch__an_unknown_host_may_come_back() -> None:
    """A failed look-up is a passing failure, and costs nothing."""
    desk = Desk(Resolver())
    with pytest.raises(InferenceUnavailable, match="no such host name"):
        desk.fetcher.fetch("https://gone.example/x.png")
    assert desk.requests == 0


@pytest.mark.parametrize(
    "url",
    ["http://api.example:8000/x.png", "https://api.example/x.png", "http://api.example.evil/x.png", "http://api/x.png"],
)
def test_fetch__an_own_address_fits_wholly_or_not_at_all(url: str) -> None:
    """Scheme, host and port all have to be the service's own, for the address to be trusted."""
    desk = Desk(Resolver("10.0.0.1"), own_url="http://api.example/v1")
    with pytest.raises(InferenceRejected, match="is not https|no address on the internet"):
        desk.fetcher.fetch(url)
    assert desk.requests == 0


_PIECES = st.sampled_from(
    ["https://", "http://", "//", "@", ":", "/", "\\", "#", "?", "[", "]", "%", ".", "..", "localhost", "127.0.0.1",
     "443", "::1", "example", "\n", "\r\nHost: x", "\x00", "\u3002", "\uff0f", "é", "xn--", " "]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_PIECES | st.text(max_size=5), max_size=8))
def test_fetch__nothing_that_is_written_leads_inside(pieces: list[str]) -> None:
    """Whatever a stranger writes: a typed error, and no request while every name stands for this machine."""
    resolver = Resolver("127.0.0.1", "::1")
    desk = Desk(resolver)
    with pytest.raises((InferenceRejected, InferenceUnavailable)):
        desk.fetcher.fetch("".join(("https://", *pieces)))
    assert desk.requests == 0
    assert len(resolver.asked) <= 1
    assert all(host.isascii() and host.isprintable() for host, _ in resolver.asked)


# --- what is a picture -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0rest", "jpg"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"\x89PNG", None),
        (b" " + PNG, None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_find_kind__reads_the_first_bytes(data: bytes, kind: str | None) -> None:
    """Four kinds are known by how they begin, and nothing else is a picture."""
    assert find_kind(data) == kind


def test_make_picture__refuses_one_byte_too_many() -> None:
    """The limit is exact."""
    assert make_picture(PNG.ljust(MAX_PICTURE_BYTES, b"\0"), where="x").kind == "png"
    with pytest.raises(InferenceNonsense, match="20000001 bytes"):
        make_picture(PNG.ljust(MAX_PICTURE_BYTES + 1, b"\0"), where="x")


@pytest.mark.parametrize("form", ["{}", "data:image/jpeg;base64,{}", " {}\n"])
def test_decode_picture__takes_base64_in_its_forms(form: str) -> None:
    """Plain, as a data address whatever type it names, and with blanks; the kind is that of the bytes."""
    picture = decode_picture(form.format(base64.b64encode(PNG).decode()), where="x")
    assert (picture.data, picture.kind, picture.url) == (PNG, "png", None)


@pytest.mark.parametrize("text", ["", "!", "AAA", base64.b64encode(b"<html>").decode(), "é", "data:,x"])
def test_decode_picture__refuses_the_rest(text: str) -> None:
    """What is no base64, or no picture, is nonsense."""
    with pytest.raises(InferenceNonsense):
        decode_picture(text, where="x")


def test_make_data_url__gives_back_what_it_was_given() -> None:
    """A picture travels inside an address unchanged, under its true type."""
    url = make_data_url(make_picture(PNG, where="x"))
    assert url.startswith("data:image/png;base64,")
    assert decode_picture(url, where="x").data == PNG
