import pytest

from ingestor.server.address import TcpAddress, UnixAddress, address, host_name, is_own_host, tcp_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:0", "::1", 0), ("localhost:80", "localhost", 80)],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert tcp_address(text) == TcpAddress(host, port)
    assert str(tcp_address(text)) == text


@pytest.mark.parametrize(
    "text", ["9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1", "a.example.com:1", "[x]:1"]
)
def test_what_is_no_ip_address_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        tcp_address(text)


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("0.0.0.0:1", False), ("[::]:1", False)],
)
def test_only_loopback_addresses_keep_other_machines_away(text: str, is_loopback: bool) -> None:
    assert tcp_address(text).is_loopback is is_loopback


def test_a_socket_in_the_file_system_has_a_path_that_the_system_can_hold() -> None:
    found = address("unix:/run/ingestor.sock")
    assert isinstance(found, UnixAddress)
    assert str(found) == "unix:/run/ingestor.sock"
    for text in ("unix:", f"unix:/{'x' * 107}", "unix:/a\0b"):
        with pytest.raises(ValueError, match="must be unix:PATH"):
            address(text)


@pytest.mark.parametrize(
    "header",
    [
        "127.0.0.1:9464",
        "10.1.2.3",
        "[::1]:9464",
        "[fd00::17]",
        "localhost",
        "LOCALHOST:1",
        "a.localhost:9464",
        "localhost.",
        "ingestor.example.com",
        "Ingestor.Example.COM.:9464",
        "127.0.0.1:",
    ],
)
def test_addresses_localhost_and_declared_names_are_own_hosts(header: str) -> None:
    assert is_own_host(header, {"ingestor.example.com"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "evil.example.com",
        "ingestor.example.com.evil.example.com",
        "evil-localhost",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com",
        "0x7f000001",
        "2130706433",
        "127.1",
        "::1",
        "[127.0.0.1]",
        "[::1",
        "[::1]evil",
        "127.0.0.1:9464@evil.example.com",
        "127.0.0.1:x",
        "a b",
    ],
)
def test_every_other_name_may_come_from_dns_rebinding(header: str) -> None:
    assert not is_own_host(header, {"ingestor.example.com"})


def test_a_declared_name_has_no_port_and_no_other_signs() -> None:
    assert host_name("Ingestor.Example.com.") == "ingestor.example.com"
    for text in ("", "a..b", "a:1", "a/b", "a b", "*.example.com", f"{'a' * 64}.com", "ä.example"):
        with pytest.raises(ValueError, match="must be a host name"):
            host_name(text)
