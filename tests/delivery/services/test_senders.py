"""Senders of an account: who may use them, and when they count as verified."""

from __future__ import annotations

import pytest

from amazonsender.core.errors import Forbidden
from delivery.models import SenderIdentity, SendingAccount
from delivery.services.accounts import (
    add_sender,
    check_account,
    create_account,
    is_sender_verified,
    refresh_sender,
    update_account,
)
from organizations.models import AuditEntry, User
from tests.delivery.services.fake_amazon import FakeAmazon
from tests.factories import AccountFactory, OrganizationFactory


def test_a_check_asks_for_the_senders_too(account: SendingAccount, amazon: FakeAmazon) -> None:
    sender = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="news@example.com"
    )
    amazon.identities["news@example.com"] = True

    check_account(account=account)

    sender.refresh_from_db()
    assert (sender.is_verified, sender.dkim_status) == (True, "SUCCESS")
    assert sender.mail_from_domain == "bounce.news@example.com"


def test_a_sender_that_cannot_be_asked_for_stays_as_it_is(account: SendingAccount, amazon: FakeAmazon) -> None:
    sender = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="gone@example.com", is_verified=True
    )

    refresh_sender(sender)

    sender.refresh_from_db()
    assert (sender.is_verified, sender.checked_at) == (True, None)


def test_adding_a_sender_registers_it_at_local_ses_alone(account: SendingAccount, amazon: FakeAmazon) -> None:
    local = AccountFactory.create(organization=account.organization)

    added = add_sender(account=local, organization=account.organization, actor=None, identity="News@Example.com")
    again = add_sender(account=local, organization=account.organization, actor=None, identity="news@example.com")
    real = add_sender(account=account, organization=account.organization, actor=None, identity="shop.example")

    assert again.pk == added.pk
    assert set(amazon.identities) == {"News@Example.com", "news@example.com"}
    assert (added.identity, again.is_verified, real.is_verified) == ("news@example.com", True, False)


def test_a_sender_is_verified_by_its_address_or_domain_of_the_same_organization_and_account(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    organization = account.organization
    elsewhere = AccountFactory.create(organization=organization)
    SenderIdentity.objects.create(
        organization=organization, account=elsewhere, identity="example.com", is_verified=True
    )

    assert not is_sender_verified(account=account, organization=organization, address="news@example.com")
    assert amazon.asked == ["news@example.com"]

    amazon.identities["news@example.com"] = True
    assert is_sender_verified(account=account, organization=organization, address="NEWS@example.com")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("example.com", "news@example.com"),
        ("news@example.com", "news@example.com"),
        ("news@example.com", "example.com"),
        ("example.com", "example.com"),
    ],
)
def test_what_another_organization_had_verified_before_is_nobody_elses_sender(
    account: SendingAccount, amazon: FakeAmazon, theirs: str, ours: str
) -> None:
    """All organizations send with the installation's credentials, and Amazon only knows those."""
    amazon.identities |= {theirs: True, ours: True}
    mallory = OrganizationFactory.create()
    hers = AccountFactory.create(organization=mallory, is_local=False)
    first = add_sender(account=account, organization=account.organization, actor=None, identity=theirs)

    second = add_sender(account=hers, organization=mallory, actor=None, identity=ours)
    check_account(account=account)

    first.refresh_from_db()
    assert (first.is_verified, second.is_verified) == (True, False)
    address = ours if "@" in ours else f"any@{ours}"
    assert not is_sender_verified(account=hers, organization=mallory, address=address)


def test_of_several_organizations_none_deals_out_what_they_share(account: SendingAccount, amazon: FakeAmazon) -> None:
    organization, owner = account.organization, User.objects.create(email="owner@acme.example")
    assert create_account(organization=organization, actor=owner, name="Alone").pk
    OrganizationFactory.create()

    with pytest.raises(Forbidden):
        create_account(organization=organization, actor=owner, name="Second")
    for changes in ({"region": "eu-west-1"}, {"configuration_set": "x"}, {"name": "N", "topic_arns": ["arn"]}):
        with pytest.raises(Forbidden):
            update_account(account=account, actor=owner, changes=dict(changes))
    with pytest.raises(Forbidden):
        add_sender(account=account, organization=organization, actor=owner, identity="theirs.example")

    assert SendingAccount.objects.filter(name="Second").count() == SenderIdentity.objects.count() == 0
    assert AuditEntry.objects.count() == 0
    update_account(account=account, actor=owner, changes={"name": "Ours"})
    owner.is_superuser = True
    assert create_account(organization=organization, actor=owner, name="Second").pk
    assert not add_sender(account=account, organization=organization, actor=owner, identity="a.example").is_verified


def test_a_sender_that_is_only_written_down_is_nobodys_where_organizations_share_the_credentials(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    """Mallory's campaign names a domain that Amazon vouches for, before its owner was given it."""
    amazon.identities |= {"owner.example": True, "news@owner.example": True}
    mallory = OrganizationFactory.create()
    hers = AccountFactory.create(organization=mallory, is_local=False)

    assert not is_sender_verified(account=hers, organization=mallory, address="news@owner.example")

    assert (SenderIdentity.objects.count(), amazon.asked) == (0, [])
    given = add_sender(account=account, organization=account.organization, actor=None, identity="owner.example")
    assert given.is_verified
    assert is_sender_verified(account=account, organization=account.organization, address="news@owner.example")


def test_a_sender_that_waited_longer_does_not_become_verified_after_its_owners(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    older = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="news@owner.example"
    )
    owner = OrganizationFactory.create()
    amazon.identities |= {"owner.example": True, "news@owner.example": True}
    hers = AccountFactory.create(organization=owner, is_local=False)
    assert add_sender(account=hers, organization=owner, actor=None, identity="owner.example").is_verified

    check_account(account=account)
    check_account(account=hers)

    older.refresh_from_db()
    assert not older.is_verified
    assert SenderIdentity.objects.get(identity="owner.example").is_verified


def test_a_guest_uses_what_the_owner_of_a_shared_account_holds(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.identities["example.com"] = True
    guest = OrganizationFactory.create()
    add_sender(account=account, organization=account.organization, actor=None, identity="example.com")

    assert is_sender_verified(account=account, organization=guest, address="news@example.com")
    assert not is_sender_verified(account=account, organization=guest, address="news@guest.example")


def test_the_owner_of_a_shared_account_shares_its_senders(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.identities["example.com"] = True
    guest, other_guest = OrganizationFactory.create(), OrganizationFactory.create()
    add_sender(account=account, organization=account.organization, actor=None, identity="example.com")

    assert add_sender(account=account, organization=guest, actor=None, identity="example.com").is_verified

    amazon.identities["guest.example"] = True
    add_sender(account=account, organization=guest, actor=None, identity="guest.example")
    assert not add_sender(account=account, organization=other_guest, actor=None, identity="guest.example").is_verified
