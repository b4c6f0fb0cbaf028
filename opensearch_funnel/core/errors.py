"""Every exception this package raises on purpose.

* FunnelError                 one line: what went wrong and what to do about it
  - InvalidRankingError       a ranking broke an invariant (a bug in a stage)
  - InvalidPlanError          a plan or a setting says something that cannot be run
  - StageUnavailableError     a stage's model or service did not answer
  - InputError                a file, a field or a query given by the user cannot be used
  - EngineError               OpenSearch refused, or could not be reached
    - EngineUnreachableError  nothing answers at the address
    - EngineDeniedError       the credentials are missing or wrong
    - IndexMissingError       an index or alias does not exist
  - NodeError                 the embedded node could not be fetched, started or stopped
  - ModelError                a model's files, hash or graph cannot be used
  - LlmError                  a language model gave nothing that can be used
    - LlmUnavailableError     no whole answer by the deadline, in the tries that fitted into it
    - LlmRefusedError         the endpoint refuses the request for good
    - LlmAnswerError          there is an answer, and it cannot be used
    - LlmBudgetError          tokens or money: a limit was, or could have been, passed
  - MissingExtraError         an optional dependency is needed that is not installed
"""


class FunnelError(Exception):
    """Base class: catch this to catch everything this package raises on purpose."""


class InvalidRankingError(FunnelError, ValueError):
    """A ranking has a duplicate document or scores out of order."""


class InvalidPlanError(FunnelError, ValueError):
    """A plan or a setting says something that cannot be run."""


class StageUnavailableError(FunnelError):
    """A stage could not do its work; ``ignore_failure`` decides what happens next."""


class InputError(FunnelError):
    """A file, a field or a query that the user gave cannot be used as it is."""


class EngineError(FunnelError):
    """OpenSearch answered with an error.

    Attributes:
        status: the HTTP status, where there was an answer.
        kind: the engine's own word for it, such as ``index_not_found_exception``.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class EngineUnreachableError(EngineError):
    """Nothing answers at the address of the cluster."""


class EngineDeniedError(EngineError):
    """The cluster wants credentials, or refuses the ones it got."""


class IndexMissingError(EngineError):
    """The index or alias that was named does not exist."""


class NodeError(FunnelError):
    """The embedded node could not be fetched, started or stopped."""


class ModelError(FunnelError):
    """A model's files, hashes or graph cannot be used."""


class LlmError(FunnelError):
    """A language model gave nothing that can be used."""


class LlmUnavailableError(LlmError):
    """The language model gave no whole answer by the deadline, in the tries that fitted into it."""


class LlmRefusedError(LlmError):
    """The language model's endpoint refuses the request, and would refuse it again."""


class LlmAnswerError(LlmError):
    """The language model answered, and its answer cannot be used."""


class LlmBudgetError(LlmError):
    """A limit of tokens or money was passed, or could have been by the call."""


class MissingExtraError(FunnelError):
    """A feature needs an optional dependency that is not installed.

    Example:
        >>> str(MissingExtraError("onnxruntime", extra="cpu"))
        "onnxruntime is not installed: pip install 'opensearch-funnel[cpu]'"
    """

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'opensearch-funnel[{extra}]'")
