"""One server under test: requests as bytes, signed, with nothing checked before they leave; and its clock."""

import http.client
import json
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT = "000000000000"
REGION = "eu-west-1"


class Refused(Exception):
    """An error that was not asked for: what a step of preparing got for an answer."""


class NotOffered(Refused):
    """A refusal that says that what was asked for is not there at all."""


class Server:
    """A running `quietus serve --dev --clock virtual`."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self._host = urllib.parse.urlsplit(endpoint).netloc
        self._connection = http.client.HTTPConnection(self._host, timeout=60)

    def send(self, operation, body, region=REGION):
        """The answer to `body`, which is a value or the very bytes: (HTTP status, its members or None if it is not JSON)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"TrentService.{operation}"}
        request = AWSRequest("POST", f"{self.endpoint}/", headers=headers, data=data)
        SigV4Auth(Credentials("test", "test"), "kms", region).add_auth(request)
        status, answer = self._exchange("/", data, dict(request.headers))
        try:
            return status, json.loads(answer or b"{}")
        except ValueError:
            return status, None

    def ask(self, operation, region=REGION, **body):
        """The members of an answer that must be 200."""
        status, answer = self.send(operation, body, region)
        if status != 200:
            absent = (answer or {}).get("__type") == "UnsupportedOperationException"
            raise (NotOffered if absent else Refused)(f"{operation} {body}: {status} {answer}")
        return answer

    def advance(self, days=0, seconds=0):
        """Lets virtual time pass; returns when all that became due is done."""
        status, answer = self._exchange("/_quietus/clock", json.dumps({"advance_seconds": days * 86_400 + seconds}).encode(), {})
        assert status == 200, answer

    def _exchange(self, path, data, headers):
        try:
            self._connection.request("POST", path, data, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, OSError):
            # The next request finds a connection of its own.
            self._connection.close()
            raise
