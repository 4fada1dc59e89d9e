"""The people of every test: alice owns acme, bob is its marketer, carol its analyst; mallory owns the other one."""

from __future__ import annotations

from dataclasses import dataclass

from organizations.models import Member, Organization, Role, User


@dataclass(frozen=True)
class Cast:
    """Two organizations and the people in them. None of the people is in both."""

    acme: Organization
    other: Organization
    alice: User
    bob: User
    carol: User
    mallory: User


def make_cast() -> Cast:
    """Create the cast."""
    acme = Organization.objects.create(
        name="Acme Coffee",
        postal_address="Acme Coffee, Pier Street 14, 1010 Riga, Latvia",
        website="https://acme.example",
        time_zone="Europe/Riga",
        sender_name="Acme Coffee",
        sender_email="hello@acme.example",
        test_recipients=["test@acme.example"],
    )
    other = Organization.objects.create(
        name="Other Tea", postal_address="Other Tea, Side Street 1, 1011 Riga, Latvia", sender_email="hi@other.example"
    )
    return Cast(
        acme=acme,
        other=other,
        alice=join(acme, "alice@acme.example", "Alice", Role.OWNER),
        bob=join(acme, "bob@acme.example", "Bob", Role.MARKETER),
        carol=join(acme, "carol@acme.example", "Carol", Role.ANALYST),
        mallory=join(other, "mallory@other.example", "Mallory", Role.OWNER),
    )


def join(organization: Organization, email: str, first_name: str, role: Role) -> User:
    """Create a user without a password as a member of the organization."""
    user = User.objects.create_user(email, first_name=first_name)
    Member.objects.create(organization=organization, user=user, role=role)
    return user
