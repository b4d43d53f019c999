"""What is not a call: the server stays up and serves whoever behaves."""
import http.client
import random
import resource
import selectors
import socket
import threading

import pytest

from google.protobuf import message
from google.appengine.datastore import datastore_pb
from google.appengine.ext.remote_api import remote_api_bytes_pb2 as remote_api

from lib import paths
from lib.rpc import Client

KEY = 'garbage'


@pytest.fixture
def client(emulator):
    c = Client(emulator.host, emulator.port)
    yield c
    c.close()


def put(client):
    """A call that must work."""
    request = datastore_pb.PutRequest()
    entity = request.entity.add()
    entity.key.app = 's~sdk-tests'
    entity.key.name_space = KEY
    element = entity.key.path.element.add()
    element.type, element.name = 'Garbage', 'g'
    entity.entity_group.element.add().CopyFrom(element)
    return client.call('datastore_v3', 'Put', request,
                       datastore_pb.PutResponse)


@pytest.fixture(autouse=True)
def still_serves(emulator, client):
    """Before and after each case a well-behaved client is served."""
    put(client)
    yield
    put(Client(emulator.host, emulator.port))


def test_random_bytes_on_the_port(emulator):
    rng = random.Random(1)
    for _ in range(200):
        with socket.create_connection((emulator.host, emulator.port),
                                      timeout=20) as s:
            try:
                s.sendall(rng.randbytes(rng.randint(1, 2000)))
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass                # it may hang up on us


def envelope():
    """A good envelope, for a Put of one entity."""
    request = datastore_pb.PutRequest()
    entity = request.entity.add()
    entity.key.app = 's~sdk-tests'
    entity.key.name_space = KEY
    element = entity.key.path.element.add()
    element.type, element.id = 'Garbage', 1
    entity.entity_group.element.add().CopyFrom(element)
    prop = entity.property.add(name='p', multiple=False)
    prop.value.stringValue = b'x' * 20
    return remote_api.Request(
        service_name='datastore_v3', method='Put', request_id='t',
        request=request.SerializeToString()).SerializeToString()


def is_envelope(body):
    """Cut between two fields, what is left may be one."""
    try:
        return remote_api.Request.FromString(body).IsInitialized()
    except message.DecodeError:
        return False


def has_error(response):
    return (response.HasField('rpc_error') or
            response.HasField('application_error'))


def test_an_envelope_cut_anywhere_gets_an_answer(client):
    whole = envelope()
    for n in range(len(whole)):
        status, body = client.post(whole[:n])
        assert status == 200
        response = remote_api.Response.FromString(body)
        assert not response.HasField('exception')
        assert has_error(response) != is_envelope(whole[:n]), n


def test_an_envelope_with_changed_bytes_gets_an_answer(client):
    rng = random.Random(2)
    whole = envelope()
    for _ in range(2000):
        body = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        status, answer = client.post(bytes(body))
        assert status == 200
        remote_api.Response.FromString(answer)


# label, service, method, payload, and the error: rpc, or the service's own.
WRONG = [
    ('no such service', 'nowhere', 'Get', b'', (1, 0)),
    ('no such method', 'datastore_v3', 'Fetch', b'', (1, 0)),
    ('a payload that is no message', 'datastore_v3', 'RunQuery', b'\xff',
     (2, 0)),
    ('a payload without required fields', 'datastore_v3', 'Commit', b'',
     (2, 0)),
    ('no message for a method that reads fields', 'datastore_v3', 'Put',
     b'\xff', (2, 0)),
    ('no query at all', 'datastore_v3', 'RunQuery', b'', (2, 0)),
    ('a key without an app', 'datastore_v3', 'Get', b'\x0a\x00', (2, 0)),
    ('no message for a typed method', 'user', 'CreateLoginURL', b'\xff',
     (2, 0)),
]


@pytest.mark.parametrize('label, service, method, payload, want', WRONG,
                         ids=[w[0] for w in WRONG])
def test_a_wrong_call_has_its_error(client, label, service, method, payload,
                                    want):
    response = client.envelope(service, method, payload)
    assert (response.rpc_error.code,
            response.application_error.code) == want, response


def test_any_bytes_to_every_method(client):
    """Random payloads to every method that the SDKs call."""
    rng = random.Random(3)
    methods = {
        'datastore_v3': ['Get', 'Put', 'Delete', 'RunQuery', 'Next',
                         'BeginTransaction', 'Commit', 'Rollback',
                         'AllocateIds', 'GetIndices'],
        'memcache': ['Get', 'Set', 'Delete', 'Increment', 'BatchIncrement',
                     'Stats'],
        'user': ['CreateLoginURL', 'CreateLogoutURL', 'GetOAuthUser'],
        'app_identity_service': ['SignForApp', 'GetServiceAccountName'],
        'capability_service': ['IsEnabled'],
        'modules': ['GetModules', 'GetVersions', 'GetHostname'],
        'taskqueue': ['Add', 'BulkAdd', 'Delete', 'QueryTasks', 'FetchTask',
                      'ForceRun', 'QueryAndOwnTasks', 'ModifyTaskLease',
                      'FetchQueues', 'FetchQueueStats', 'UpdateQueue',
                      'PurgeQueue'],
    }
    for service, names in methods.items():
        for method in names:
            for _ in range(40):
                client.envelope(service, method,
                                rng.randbytes(rng.randint(0, 60)))


def test_a_body_over_the_limit_is_refused(emulator):
    """51 MiB: 413, or a hang-up on the way; not the memory of it."""
    connection = http.client.HTTPConnection(emulator.host, emulator.port,
                                            timeout=60)
    try:
        connection.request('POST', '/rpc_http', b'\0' * (51 << 20))
        assert connection.getresponse().status == 413
    except ConnectionError:
        pass
    finally:
        connection.close()


OTHERS = [
    ('another path', 'POST', '/elsewhere', {404}),
    ('another method', 'DELETE', '/rpc_http', {404, 405}),
    ('a path out of the root', 'GET', '/../../etc/passwd', {400, 404}),
]


@pytest.mark.parametrize('label, method, path, want', OTHERS,
                         ids=[o[0] for o in OTHERS])
def test_what_is_no_call_is_told_so(emulator, label, method, path, want):
    connection = http.client.HTTPConnection(emulator.host, emulator.port,
                                            timeout=20)
    connection.request(method, path)
    assert connection.getresponse().status in want
    connection.close()


def test_half_a_request_keeps_nobody_else_waiting(emulator, client):
    with socket.create_connection((emulator.host, emulator.port)) as s:
        s.sendall(b'POST /rpc_http HTTP/1.1\r\nHost: x\r\nContent-Le')
        for _ in range(20):
            put(client)


def test_ten_thousand_idle_connections(emulator, client):
    """As many as the limits of this machine and process allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    want = min(10000 // paths.SLOWNESS, hard - 200)
    idle = []
    try:
        for _ in range(want):
            s = socket.socket()
            s.settimeout(20)
            s.connect((emulator.host, emulator.port))
            idle.append(s)
        for _ in range(20):
            put(client)
            put(Client(emulator.host, emulator.port))
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(idle) == want


def test_a_client_that_never_reads_is_not_waited_for(emulator, client):
    """It asks and asks and takes no answer: others are served."""
    body = envelope()
    ask = (b'POST /rpc_http HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n'
           % len(body)) + body
    stop = threading.Event()

    def flood():
        with socket.create_connection((emulator.host, emulator.port)) as s:
            s.setblocking(False)
            selector = selectors.DefaultSelector()
            selector.register(s, selectors.EVENT_WRITE)
            while not stop.is_set():
                if selector.select(0.1):
                    try:
                        s.send(ask * 20)
                    except OSError:
                        return
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(50):
            put(client)
    finally:
        stop.set()
        thread.join()
