"""What is kept of a reader's network address: enough to tell machines from people, too little to find anybody."""

from __future__ import annotations

import ipaddress


def truncate_address(address: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; "" for anything else."""
    try:
        ip = ipaddress.ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, prefix), strict=False).network_address)
