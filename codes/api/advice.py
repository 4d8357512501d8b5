"""Advice on an answer in JSON, the same for a pasted text and for a pair that was looked up."""

from collections.abc import Iterable, Iterator
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from codes.api.code_serializers import CodeSerializer
from codes.api.parts import RetrySerializer
from codes.catalogue.values import HTTP
from codes.explain.delivery import NO_ANSWER, SenderAdvice
from codes.explain.pairs import Pair
from codes.explain.unanswered import NO_STATUS
from portal.rest.queries import ChosenFieldsMixin

Shape = serializers.Serializer[Any]


class AdviceItemSerializer(Shape):
    """Advice of one meaning of a code for each reader; the list begins with the one to act on.

    The first item is safe to act on: it lets no sender drop data unless every answer is HTTP 200 with
    Stroom-Status 0.
    """

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="0 of the registry http: no server answered.")
    owner = serializers.CharField(help_text="Slug of the owner that gives the number this meaning.")
    name = serializers.CharField(help_text="Name.")
    summary = serializers.CharField(help_text="In a sentence or two.")
    delivery = serializers.CharField(
        help_text="What the HTTP status by itself says about a delivery to Stroom; empty for Stroom's own codes."
    )
    sender = serializers.CharField(help_text="For the sender of the request.")
    server = serializers.CharField(help_text="For the operator of the server that answered.")
    administrator = serializers.CharField(help_text="For the administrator of Stroom or of the network.")
    retry = RetrySerializer(help_text="Whether and how to send again.")


class PairSerializer(ChosenFieldsMixin, Shape):
    """An HTTP status and a Stroom-Status of one answer."""

    http = CodeSerializer(allow_null=True, help_text="The HTTP status; null where none was asked for.")
    stroom = CodeSerializer(allow_null=True, help_text="The Stroom-Status; null where none was asked for.")
    consistent = serializers.BooleanField(
        allow_null=True, help_text="Whether the two belong together; null where there is only one."
    )
    generation = serializers.CharField(
        allow_null=True,
        help_text="documented, current, documented+current, older, portal or proxy in front; null: never sent",
    )
    explanation = serializers.CharField(help_text="Explanation.")
    answered = serializers.BooleanField(help_text="false where the HTTP status says that no server answered")
    advice = serializers.SerializerMethodField(help_text="Recommended action.")

    @extend_schema_field(AdviceItemSerializer(many=True))
    def get_advice(self, pair: Pair) -> list[dict[str, Any]]:
        return list(advice_items(pair.advice))


def advice_items(advice: Iterable[SenderAdvice]) -> Iterator[dict[str, Any]]:
    """Yield each meaning of each code in the shape of `AdviceItemSerializer`."""
    for one in advice:
        for meaning in one.meanings:
            yield {
                "registry": one.found.registry.slug if one.found else HTTP,
                "code": one.found.code if one.found else NO_STATUS,
                "owner": meaning.owner_id,
                "name": meaning.name,
                "summary": meaning.summary,
                "delivery": one.found.delivery if one.found else NO_ANSWER,
                **{reader: meaning.what_to_do.get(reader, "") for reader in ("sender", "server", "administrator")},
                "retry": RetrySerializer(meaning.retry).data,
            }
