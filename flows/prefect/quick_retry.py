"""Asks Prefect's server again at once where its database was busy for a moment.

The server's SQLite refuses a transaction that has read before another one wrote, and the server then answers 503. This
passes within milliseconds; Prefect's own client waits two seconds, which each second job that is created would wait.
"""

import time

import httpx

#: Seconds before each further try; after the last it is left to Prefect's own client.
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)


def is_busy(response: httpx.Response) -> bool:
    """Whether the server is busy for a moment; one in maintenance says for how long."""
    return response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" not in response.headers


class QuickRetry(httpx.HTTPTransport):
    """A transport for ``SyncPrefectClient``."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, again after each pause while the server is busy."""
        for pause in PAUSES:
            response = super().handle_request(request)
            if not is_busy(response):
                return response
            response.close()
            time.sleep(pause)
        return super().handle_request(request)
