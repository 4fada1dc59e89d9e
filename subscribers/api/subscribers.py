"""/api/v1/subscribers"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from amazonsender.core.errors import NotFound
from organizations.access import access
from organizations.api.views import ApiView, idempotent
from organizations.models import Organization
from subscribers.addresses import InvalidAddress
from subscribers.api.serializers import (
    ConsentSerializer,
    SubscriberChangeSerializer,
    SubscriberPageSerializer,
    SubscriberSerializer,
    SubscriberUpsertedSerializer,
    SubscriberUpsertSerializer,
    consent_of,
    show_subscriber,
)
from subscribers.models import ConsentRecord, List, Subscriber, SubscriberStatus, Subscription
from subscribers.selectors.people import find_by_address
from subscribers.services.consent import unsubscribe
from subscribers.services.subscribers import delete_subscriber, update_subscriber
from subscribers.services.upserting import join_lists, upsert_subscriber

WHO = OpenApiParameter(
    "who", OpenApiTypes.STR, location=OpenApiParameter.PATH, description="An id, or an email address."
)


def access_subscriber(organization: Organization, who: str) -> Subscriber:
    """The person with this id or address. Raises NotFound."""
    if "@" not in who:
        people = Subscriber.objects.select_related("organization")
        return access(people, organization=organization, pk=who)
    try:
        person = find_by_address(organization, who)
    except InvalidAddress:
        person = None
    if person is None:
        raise NotFound("There is no subscriber with this address.")
    return person


def _shown(person: Subscriber) -> dict[str, Any]:
    person.refresh_from_db()
    return show_subscriber(person, list(Subscription.objects.filter(subscriber=person).order_by("list_id")))


class SubscribersView(ApiView):
    """Everybody."""

    scopes: ClassVar[dict[str, str]] = {"GET": "subscriber:view"}
    parameters = PAGE_NAMES | {"list_id", "status"}

    @extend_schema(
        operation_id="subscribers_list",
        tags=["subscribers"],
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("list_id", OpenApiTypes.INT, description="Only people with a subscription to this list."),
            OpenApiParameter("status", OpenApiTypes.STR, enum=SubscriberStatus.values),
        ],
        responses=SubscriberPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List people, the oldest first."""
        wanted = page_request(request)
        people = Subscriber.objects.for_organization(self.organization).filter(pk__gt=wanted.after or 0)
        rows = list(self._filtered(people, request).order_by("pk")[: wanted.limit + 1])
        by_person: dict[int, list[Subscription]] = {row.pk: [] for row in rows}
        for one in Subscription.objects.filter(subscriber_id__in=by_person).order_by("list_id"):
            by_person[one.subscriber_id].append(one)
        return Response(
            page(rows, wanted, key=lambda row: row.pk, show=lambda row: show_subscriber(row, by_person[row.pk]))
        )

    def _filtered(self, people: QuerySet[Subscriber], request: Request) -> QuerySet[Subscriber]:
        status = request.query_params.get("status", "")
        if status:
            if status not in SubscriberStatus.values:
                raise ValidationError({"status": [f"One of {', '.join(SubscriberStatus.values)}."]})
            people = people.filter(status=status)
        list_id = request.query_params.get("list_id", "")
        if list_id:
            mailing_list = access(List.objects, organization=self.organization, pk=list_id)
            people = people.filter(subscriptions__list=mailing_list)
        return people


class SubscriberView(ApiView):
    """One person."""

    scopes: ClassVar[dict[str, str]] = {
        "GET": "subscriber:view", "PUT": "subscriber:edit", "PATCH": "subscriber:edit", "DELETE": "subscriber:edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="subscribers_get", tags=["subscribers"], parameters=[WHO], responses=SubscriberSerializer
    )
    def get(self, request: Request, who: str) -> Response:
        """Show a person."""
        return Response(_shown(access_subscriber(self.organization, who)))

    @extend_schema(
        operation_id="subscribers_upsert",
        tags=["subscribers"],
        parameters=[
            OpenApiParameter("who", OpenApiTypes.STR, location=OpenApiParameter.PATH, description="An address.")
        ],
        request=SubscriberUpsertSerializer,
        responses={200: SubscriberUpsertedSerializer, 201: SubscriberUpsertedSerializer},
    )
    def put(self, request: Request, who: str) -> Response:
        """Add the person, or change what is given. Repeating it changes nothing more. Nobody who left comes back."""
        given = self.read(SubscriberUpsertSerializer)
        list_ids, consent = given.pop("list_ids", []), consent_of(given.pop("consent", {}))
        done = upsert_subscriber(
            organization=self.organization, email=who, fields=given, list_ids=list_ids, consent=consent
        )
        body = _shown(done.subscriber) | {"left_out_list_ids": done.left_out}
        return Response(body, status=201 if done.is_new else 200)

    @extend_schema(
        operation_id="subscribers_update",
        tags=["subscribers"],
        parameters=[WHO],
        request=SubscriberChangeSerializer,
        responses=SubscriberSerializer,
    )
    def patch(self, request: Request, who: str) -> Response:
        """Change what is given, the address too."""
        person = access_subscriber(self.organization, who)
        changed = update_subscriber(subscriber=person, **self.read(SubscriberChangeSerializer, partial=True))
        return Response(_shown(changed))

    @extend_schema(
        operation_id="subscribers_delete",
        tags=["subscribers"],
        parameters=[WHO],
        responses={204: OpenApiResponse(description="Gone.")},
    )
    def delete(self, request: Request, who: str) -> Response:
        """Delete a person. Whoever had left, bounced or complained leaves a suppression behind."""
        delete_subscriber(subscriber=access_subscriber(self.organization, who))
        return Response(status=204)


class SubscriptionView(ApiView):
    """A person on a list."""

    scopes: ClassVar[dict[str, str]] = {"PUT": "subscriber:edit", "DELETE": "subscriber:edit"}

    @extend_schema(
        operation_id="subscriptions_put",
        tags=["subscribers"],
        parameters=[WHO],
        request=ConsentSerializer,
        responses=SubscriberUpsertedSerializer,
    )
    def put(self, request: Request, who: str, list_id: int) -> Response:
        """Put a person on a list."""
        person = access_subscriber(self.organization, who)
        mailing_list = access(List.objects, organization=self.organization, pk=list_id)
        consent = consent_of(self.read(ConsentSerializer))
        left_out = join_lists(subscriber=person, list_ids=[mailing_list.pk], consent=consent)
        return Response(_shown(person) | {"left_out_list_ids": left_out})

    @extend_schema(
        operation_id="subscriptions_delete", tags=["subscribers"], parameters=[WHO], responses=SubscriberSerializer
    )
    def delete(self, request: Request, who: str, list_id: int) -> Response:
        """Take a person off a list. It is recorded as their wish, and no import brings them back."""
        person = access_subscriber(self.organization, who)
        mailing_list = access(List.objects, organization=self.organization, pk=list_id)
        _leave(person, mailing_list.pk)
        return Response(_shown(person))


class UnsubscribeView(ApiView):
    """A person who wants no more mail."""

    scopes: ClassVar[dict[str, str]] = {"POST": "subscriber:edit"}

    @extend_schema(
        operation_id="subscribers_unsubscribe",
        tags=["subscribers"],
        parameters=[WHO],
        request=None,
        responses=SubscriberSerializer,
    )
    @idempotent
    def post(self, request: Request, who: str) -> Response:
        """Take a person off everything."""
        person = access_subscriber(self.organization, who)
        _leave(person, None)
        return Response(_shown(person))


def _leave(person: Subscriber, list_id: int | None) -> None:
    unsubscribe(subscriber=person, list_id=list_id, method=ConsentRecord.Method.API, at=timezone.now())
