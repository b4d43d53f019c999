"""Google's Python SDK, unmodified, outside a web server.

The SDK takes the API's address from the environment and the caller's ticket
from the headers of the request it serves; connect() stands in for both, for
the calling thread.  Threads of a test call use_ticket() themselves.
"""
import os

from google.appengine.api import apiproxy_stub_map
from google.appengine.runtime import default_api_stub

PROJECT = 'sdk-tests'
TICKET = 'sdk-test-ticket'


def environment(host, port, project):
    """What an instance's environment holds (also for the Go tests)."""
    return {
        'API_HOST': host,
        'API_PORT': str(port),
        'GAE_APPLICATION': f's~{project}',
        'GAE_ENV': 'standard',
        'GAE_SERVICE': 'default',
        'GAE_VERSION': 'v1',
        'GAE_DEPLOYMENT_ID': '1',
        'GAE_INSTANCE': 'instance-1',
        'GAE_RUNTIME': 'python311',
        'GOOGLE_CLOUD_PROJECT': project,
        'NO_PROXY': '*',
    }


def connect(host, port, project=PROJECT):
    os.environ.update(environment(host, port, project))
    os.environ.update({
        'APPLICATION_ID': f's~{project}',
        'AUTH_DOMAIN': 'gmail.com',
        'SERVER_NAME': 'localhost',
        'SERVER_PORT': '8080',
        'HTTP_HOST': 'localhost:8080',
        'HTTP_X_APPENGINE_API_TICKET': TICKET,
    })
    apiproxy_stub_map.apiproxy = apiproxy_stub_map.APIProxyStubMap(
        default_api_stub.DefaultApiStub())
    use_ticket()


def use_ticket():
    default_api_stub.DefaultApiStub.SetUseRequestSecurityTicketForThread(True)
