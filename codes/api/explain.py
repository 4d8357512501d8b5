"""Explanation of a pasted text over REST. Open to all; nothing of the text is kept or logged."""

from collections.abc import Mapping
from typing import IO, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from codes.api.advice import AdviceItemSerializer, advice_items
from codes.explain.answers import ExplainedAnswer, Explanation, TooLong, explain
from codes.explain.findings import Found
from codes.explain.recognise import MAX_LENGTH
from codes.explain.unanswered import NO_STATUS
from codes.lookup import FoundCode
from codes.plaintext import explanation_text
from portal.rest.parsing import StrictJSONParser
from portal.rest.problems import answers
from portal.rest.public import OpenToAllMixin
from portal.rest.queries import StrictQueryMixin
from portal.site import public_link

Shape = serializers.Serializer[Any]


class TextTooLong(APIException):
    status_code = 413
    default_code = "too_long"


class PlainTextParser(BaseParser):
    """Parser of a plain text: `curl … | curl --data-binary @- -H 'Content-Type: text/plain' …`."""

    media_type = "text/plain"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(MAX_LENGTH + 1)
        if len(raw) > MAX_LENGTH:
            raise TextTooLong(str(TooLong()))
        try:
            return {"text": raw.decode()}
        except UnicodeDecodeError:
            raise ParseError("The text is not UTF-8.") from None


class PlainTextRenderer(BaseRenderer):
    """Renderer of plain text for terminals."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        explanation = (renderer_context or {}).get("explanation")
        return explanation_text(explanation) if isinstance(explanation, Explanation) else str(data)


class PastedTextSerializer(Shape):
    """A text to explain."""

    text = serializers.CharField(
        allow_blank=True, trim_whitespace=False, help_text=f"At most {MAX_LENGTH} bytes of UTF-8. It is not kept."
    )


class PassageSerializer(Shape):
    """A passage of the text that names a code."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="0 of the registry http says that no server answered.")
    kind = serializers.CharField(help_text="What sort of passage it is, such as `status line`.")
    start = serializers.IntegerField(help_text="Offset of its first character, counted in code points from 0.")
    end = serializers.IntegerField(help_text="Offset after its last character.")
    line = serializers.IntegerField(help_text="Its line in the text, counted from 1.")
    passage = serializers.CharField(help_text="The passage itself.")


class ExplainedPairSerializer(Shape):
    """The numbers of one answer. `consistent` is null where there is only one of them."""

    http = serializers.IntegerField(
        allow_null=True, help_text="0 where no server answered, as curl and browsers write it."
    )
    stroom = serializers.IntegerField(allow_null=True, help_text="The Stroom-Status; null without one.")
    consistent = serializers.BooleanField(
        allow_null=True, help_text="Whether the two belong together; null where there is only one."
    )
    generation = serializers.CharField(
        allow_null=True, help_text="Stroom generation that sends this pair; null if none does."
    )
    explanation = serializers.CharField(help_text="Explanation.")
    recognised = serializers.ListField(
        child=serializers.IntegerField(), help_text="Positions in the list of passages."
    )


class ExplainedCodeSerializer(Shape):
    """A code that was recognised."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    name = serializers.CharField(help_text="Its name; empty for a number without one.")
    known = serializers.BooleanField(help_text="Whether the catalogue knows the number.")
    valid = serializers.BooleanField(help_text="Whether the number is within the range of the registry.")
    treat_as = serializers.IntegerField(
        allow_null=True, help_text="Number as which a client treats an unknown one; null where none is defined."
    )
    url = serializers.CharField(help_text="Page in this portal.")


class ExplainedAdviceSerializer(AdviceItemSerializer):
    """Advice, with the answer that it is about."""

    pair = serializers.IntegerField(help_text="Position in the list of pairs.")


class ExplanationSerializer(Shape):
    """The codes that were recognised in the text, and their meaning. All lists are empty where none was."""

    message = serializers.CharField(help_text="What was found, in a sentence.")
    recognised = PassageSerializer(many=True, help_text="Passages of the text that name a code.")
    pairs = ExplainedPairSerializer(many=True, help_text="The numbers that belong to one answer.")
    codes = ExplainedCodeSerializer(many=True, help_text="Every code that was recognised, once.")
    advice = ExplainedAdviceSerializer(many=True, help_text="What to do, for each reader.")
    left_out = serializers.IntegerField(help_text="Answers beyond those that are explained.")


class Explain(OpenToAllMixin, StrictQueryMixin, APIView):
    """Explain a pasted response, log line, client message or refusal."""

    detail = True
    parser_classes = (StrictJSONParser, PlainTextParser)
    renderer_classes = (JSONRenderer, PlainTextRenderer)

    def known_query(self) -> set[str]:
        return {"format"}

    @extend_schema(
        operation_id="codes_explain",
        tags=["catalogue"],
        auth=[],
        request=PastedTextSerializer,
        responses=answers(ExplanationSerializer, 400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        try:
            explanation = explain(_pasted_text(request.data))
        except TooLong as fault:
            raise TextTooLong(str(fault)) from fault
        response = Response(as_json(explanation))
        response["Cache-Control"] = "no-store"
        self.explanation = explanation
        return response

    def get_renderer_context(self) -> dict[str, Any]:
        return {**super().get_renderer_context(), "explanation": getattr(self, "explanation", None)}


def _pasted_text(data: Any) -> str:
    """Return the text of a body that holds nothing else."""
    if not isinstance(data, Mapping):
        raise ValidationError({"text": "the body must be an object with the key text"})
    if unknown := sorted(set(data) - {"text"}):
        raise ValidationError({key[:80]: "is not known here; known is text" for key in unknown})
    text = data.get("text")
    if not isinstance(text, str):
        raise ValidationError({"text": "is missing" if "text" not in data else "must be a text"})
    return text


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation in the shape of `ExplanationSerializer`."""
    position = {id(passage): index for index, passage in enumerate(explanation.passages)}
    codes = {(c.registry.slug, c.code): c for answer in explanation.answers for c in answer.codes}
    return {
        "message": explanation.message,
        "recognised": [_passage(passage) for passage in explanation.passages],
        "pairs": [_pair(answer, position) for answer in explanation.answers],
        "codes": [_code(code) for code in codes.values()],
        "advice": [
            {"pair": index, **item}
            for index, answer in enumerate(explanation.answers)
            for item in advice_items(answer.advice)
        ],
        "left_out": explanation.left_out,
    }


def _passage(found: Found) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("registry", "code", "kind", "start", "end", "line", "passage")}


def _pair(answer: ExplainedAnswer, position: Mapping[int, int]) -> dict[str, Any]:
    judged = answer.judged
    return {
        "http": judged.http.code if judged.http else None if judged.answered else NO_STATUS,
        "stroom": judged.stroom.code if judged.stroom else None,
        "consistent": judged.consistent,
        "generation": judged.generation,
        "explanation": answer.explanation,
        "recognised": [position[id(passage)] for passage in answer.passages],
    }


def _code(code: FoundCode) -> dict[str, Any]:
    return {
        "registry": code.registry.slug,
        "code": code.code,
        "name": code.name,
        "known": code.known,
        "valid": code.valid,
        "treat_as": code.treat_as,
        "url": public_link(code.url),
    }
