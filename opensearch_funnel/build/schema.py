"""The OpenAPI schema of the service, as it is committed."""

from __future__ import annotations

import json


def openapi_text() -> str:
    """Return the schema of every route of the service as JSON, the same on every machine."""
    from opensearch_funnel.build.service import service_app
    from opensearch_funnel.settings import EMBEDDED_URL, Settings

    # Whatever is set here and now belongs to this machine; making the application asks nobody.
    app = service_app(Settings(url=EMBEDDED_URL, username=None, password=None, service_token=None))
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
