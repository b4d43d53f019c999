"""API calls without an SDK around them: the envelope and nothing else.

    client = Client(emu.host, emu.port, app='s~test')
    response = client.call('datastore_v3', 'Get', request, ResponseClass)

raises RpcError or ApplicationError with the numbers of the wire; post() gives
the bare HTTP answer for tests of the transport.
"""
import http.client

from google.appengine.ext.remote_api import remote_api_bytes_pb2 as remote_api

HEADERS = {
    'Content-Type': 'application/octet-stream',
    'X-Google-RPC-Service-Endpoint': 'app-engine-apis',
    'X-Google-RPC-Service-Method': '/VMRemoteAPI.CallRemoteAPI',
}


class CallError(Exception):
    def __init__(self, code, detail):
        super().__init__(f'{code}: {detail}')
        self.code, self.detail = code, detail


class RpcError(CallError):
    """The envelope's rpc_error."""


class ApplicationError(CallError):
    """The envelope's application_error: the service's own code."""


class Client:
    """One keep-alive connection; not for several threads at once."""

    def __init__(self, host, port, ticket='test-ticket', timeout=60):
        self.ticket = ticket
        self._connection = http.client.HTTPConnection(host, port,
                                                      timeout=timeout)

    def post(self, body, headers=None, deadline=60):
        """POST `body` as it is; (status, bytes)."""
        self._connection.request(
            'POST', '/rpc_http', body,
            {**HEADERS, 'X-Google-RPC-Service-Deadline': str(deadline),
             **(headers or {})})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def envelope(self, service, method, payload=b'', **post):
        """The remote_api.Response to one call."""
        request = remote_api.Request(
            service_name=service, method=method, request=payload,
            request_id=self.ticket)
        status, body = self.post(request.SerializeToString(), **post)
        if status != 200:
            raise AssertionError(f'HTTP {status}: {body[:200]!r}')
        return remote_api.Response.FromString(body)

    def call(self, service, method, request, response_class, **post):
        response = self.envelope(service, method,
                                 request.SerializeToString(), **post)
        if response.HasField('rpc_error'):
            raise RpcError(response.rpc_error.code, response.rpc_error.detail)
        if response.HasField('application_error'):
            raise ApplicationError(response.application_error.code,
                                   response.application_error.detail)
        return response_class.FromString(response.response)

    def connect(self):
        """Now rather than with the first call."""
        self._connection.connect()

    def close(self):
        self._connection.close()
