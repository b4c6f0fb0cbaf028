"""What a user can set: flags first, then ``FUNNEL_*`` in the environment, then ``funnel.toml``."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from platformdirs import user_cache_path
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from opensearch_funnel.core.errors import InputError

CONFIG_FILE = Path("funnel.toml")
NODE_PORT = 9250
SERVICE_PORT = 8750
EMBEDDED_URL = f"http://127.0.0.1:{NODE_PORT}"
_PLAIN = re.compile(r"[!-~]+")
# Without what the engine would take for a placeholder in the header of a connector.
_TOKEN = re.compile(r"[!-#%-~]+")
_SHORTEST_TOKEN = 16


def default_home() -> Path:
    """Return where caches live unless ``FUNNEL_HOME`` says otherwise.

    The embedded node never runs as root, so as root the folder is one that another user can
    reach: root's own home is closed to it.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/cache/opensearch-funnel")
    return user_cache_path("opensearch-funnel")


class Settings(BaseSettings):
    """Everything that is not part of a plan.

    Example:
        >>> Settings(url="https://search.example:9200").url
        'https://search.example:9200'
    """

    # An input may hold a password: errors name the setting, never what was given.
    model_config = SettingsConfigDict(
        env_prefix="FUNNEL_", extra="ignore", hide_input_in_errors=True
    )

    url: str = EMBEDDED_URL
    """Address of the cluster; the embedded node by default. A user and password in it are moved
    to the two settings below, where those are not given."""
    username: str | None = None
    """User of the cluster, for basic auth."""
    password: SecretStr | None = None
    """Password of that user; best given by ``FUNNEL_PASSWORD``."""
    ca_certs: Path | None = None
    """A file with the authorities to trust for ``https``."""
    verify_certs: bool = True
    """Whether the certificate of an ``https`` cluster is checked."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds to wait for one answer of the cluster."""
    service_url: str = f"http://127.0.0.1:{SERVICE_PORT}"
    """Where the cluster reaches the service."""
    service_token: SecretStr | None = None
    """What every caller of the service has to show; best given by ``FUNNEL_SERVICE_TOKEN``. The
    service listens on another address than loopback only with one."""
    score_cache: int = Field(default=200_000, ge=0)
    """How many scores of the reranker the service keeps; 0 keeps none, so that a query that is
    asked again takes as long as the first time."""
    home: Path = Field(default_factory=default_home)
    """Where the embedded node, models and graphs are kept."""
    datasets: Path = Path("../shared/datasets")
    """Where tests and benchmarks find evaluation data."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one model session; all cores if not set."""
    llm_url: str | None = None
    """Address of a language model in OpenAI's form, such as ``http://127.0.0.1:11434/v1``."""
    llm_model: str | None = None
    """What that endpoint calls the model."""
    llm_key: SecretStr | None = None
    """Key of that endpoint, if it wants one; best given by ``FUNNEL_LLM_KEY``."""
    llm_input_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What a million tokens cost that are sent to it, in the currency of the limits below."""
    llm_output_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What a million tokens cost that it writes."""
    llm_deadline: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds that one call to it may take, with everything that is tried again."""
    llm_tokens_per_call: int = Field(default=100_000, ge=1)
    """How many tokens one call may take, sent and written."""
    llm_tokens_per_day: int = Field(default=5_000_000, ge=1)
    """How many tokens all calls of a day (UTC) may take."""
    llm_cost_per_call: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What one call may cost; needs the prices."""
    llm_cost_per_day: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What all calls of a day (UTC) may cost; needs the prices."""
    llm_cache: int = Field(default=100_000, ge=0)
    """How many of its answers are kept, so that the same question is not paid for twice."""

    @model_validator(mode="before")
    @classmethod
    def _without_userinfo(cls, values: Any) -> Any:
        """Move the user and password out of the address, which is shown and logged."""
        if not isinstance(values, dict) or not isinstance(values.get("url"), str):
            return values
        scheme, slashes, rest = values["url"].partition("://")
        authority, slash, path = rest.partition("/")
        userinfo, at, host = authority.rpartition("@")
        if not at:
            return values
        username, colon, password = userinfo.partition(":")
        found = {"username": unquote(username)} if username else {}
        if colon:
            found["password"] = unquote(password)
        given = {name: value for name, value in values.items() if value is not None}
        own = {} if "username" in given or "password" in given else found
        return {**values, **own, "url": scheme + slashes + host + slash + path}

    @field_validator("url", "service_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        return http_address(url)

    @field_validator("service_token")
    @classmethod
    def _a_token(cls, token: SecretStr | None) -> SecretStr | None:
        given = token.get_secret_value() if token is not None else ""
        if not given:
            return None
        if len(given) < _SHORTEST_TOKEN or not _TOKEN.fullmatch(given):
            raise ValueError(
                f"it must be at least {_SHORTEST_TOKEN} printable ASCII characters without blanks "
                "and '$', such as openssl rand -hex 16 prints"
            )
        return token

    @field_validator("llm_url")
    @classmethod
    def _an_address_or_none(cls, url: str | None) -> str | None:
        return http_address(url) if url else None

    @field_validator("llm_key")
    @classmethod
    def _a_key(cls, key: SecretStr | None) -> SecretStr | None:
        given = key.get_secret_value().strip() if key is not None else ""
        if given and not _PLAIN.fullmatch(given):
            raise ValueError("it must be printable ASCII characters without blanks")
        return SecretStr(given) if given else None

    def environment(self) -> dict[str, str]:
        """Return the settings as environment variables, for a child of this program.

        Example:
            >>> Settings(url="http://127.0.0.1:9200").environment()["FUNNEL_URL"]
            'http://127.0.0.1:9200'
        """
        values = {
            "URL": self.url,
            "USERNAME": self.username,
            "PASSWORD": self.password.get_secret_value() if self.password else None,
            "SERVICE_TOKEN": self.service_token.get_secret_value() if self.service_token else None,
            "CA_CERTS": self.ca_certs,
            "VERIFY_CERTS": str(self.verify_certs).lower(),
            "TIMEOUT": self.timeout,
            "HOME": self.home,
            "THREADS": self.threads,
            "SCORE_CACHE": self.score_cache,
        }
        return {f"FUNNEL_{k}": str(v) for k, v in values.items() if v is not None}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, ``funnel.toml`` in the working folder."""
        del dotenv_settings, file_secret_settings
        table = settings_table(CONFIG_FILE)
        return (init_settings, env_settings, InitSettingsSource(settings_cls, table))


def http_address(url: str) -> str:
    """Return an address in the one form that is compared and stored: without a slash at its end.

    Raises:
        ValueError: it is no address of an HTTP server.

    Example:
        >>> http_address("http://127.0.0.1:8750/")
        'http://127.0.0.1:8750'
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _PLAIN.fullmatch(url):
        raise ValueError("it must look like http://127.0.0.1:9200 or https://search.example")
    if "@" in parts.netloc:
        raise ValueError("it must not hold a user or password: it is shown and stored")
    return url.rstrip("/")


def settings_table(path: Path) -> dict[str, Any]:
    """Read the table ``[settings]`` of a configuration file; empty where there is none."""
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("settings", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"[settings] in {path} must be a table")
    return table


def load_settings(**flags: Any) -> Settings:
    """Read the settings; a flag that was given (not ``None``) wins over every other source.

    Raises:
        InputError: a value has the wrong type; says which and where it came from.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"setting {name!r} is not usable: {first['msg']} (flag, FUNNEL_{name.upper()}, or "
            f"[settings] in {CONFIG_FILE})"
        ) from error
