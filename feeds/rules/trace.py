"""The trace of a decision: each evaluated step with its reason, and what ends the evaluation."""

from dataclasses import dataclass, field

from feeds.rules.stroom_status import StroomStatus


@dataclass(frozen=True)
class TraceStep:
    """One evaluated step: its number in the contract, `pass` or `stop`, and the reason in words."""

    step: int
    outcome: str
    explanation: str


class Stop(Exception):  # never leaves `feeds.rules`
    """Ends the evaluation."""

    def __init__(self, status: StroomStatus, *, known: bool, hint: str) -> None:
        super().__init__(status.message)
        self.status = status
        self.known = known
        self.hint = hint


@dataclass
class Trace:
    """The steps so far."""

    steps: list[TraceStep] = field(default_factory=list)

    def passed(self, step: int, explanation: str) -> None:
        """Note a step that lets the request go on."""
        self.steps.append(TraceStep(step, "pass", explanation))

    def stop(
        self, step: int, status: StroomStatus, explanation: str, *, known: bool = True, hint: str = ""
    ) -> Stop:
        """Note the step that ends the evaluation, and return what has to be raised."""
        self.steps.append(TraceStep(step, "stop", explanation))
        return Stop(status, known=known, hint=hint)
