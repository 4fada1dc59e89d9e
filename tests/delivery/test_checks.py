"""System checks about DNS servers; those about accounts are tried where their doors are."""

from __future__ import annotations

from pytest_django import Settings

from delivery.checks import dns_servers


def test_what_is_no_dns_server_is_told_before_it_is_asked(settings: Settings) -> None:
    settings.DNS_RESOLVERS = ["192.0.2.53", "[2001:db8::53]:5353"]
    assert dns_servers(None) == []

    settings.DNS_RESOLVERS = ["dns.example.com", "192.0.2.53"]
    [found] = dns_servers(None)
    assert (found.id, found.msg) == (
        "amazonsender.E021",
        "DNS_RESOLVERS: 'dns.example.com' is no IP address, with or without a port.",
    )
