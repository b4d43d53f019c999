"""The server against clients that mean harm, or know no better.

Each test does its worst to one server while a well-behaved client puts and
gets an entity over a connection of its own; afterwards the server still runs,
as the same process.
"""
import random
import resource
import socket
import threading
import time

import pytest
from google.appengine.datastore import datastore_v3_bytes_pb2 as datastore
from google.appengine.ext.remote_api import remote_api_bytes_pb2 as remote_api

from lib.emulator import Emulator
from lib.paths import SLOWNESS
from lib.rpc import Client, RpcError

PROJECT = 'hostile'
MIB = 1024 * 1024


@pytest.fixture(scope='module')
def server():
    with Emulator(project=PROJECT) as emu:
        yield emu
        assert emu.stop() == 0, emu.output()


def connect(server, timeout=20):
    return socket.create_connection((server.host, server.port),
                                    timeout=timeout * SLOWNESS)


def entity(name, value):
    e = datastore.PutRequest().entity.add()
    e.key.app = PROJECT
    e.entity_group.SetInParent()
    for path in (e.key.path, e.entity_group):
        element = path.element.add()
        element.type, element.name = 'Kept', name
    p = e.property.add()
    p.name, p.multiple, p.value.int64Value = 'value', False, value
    return e


def put_and_get(client, name, value):
    put = datastore.PutRequest()
    put.entity.add().CopyFrom(entity(name, value))
    key = client.call('datastore_v3', 'Put', put, datastore.PutResponse).key[0]
    get = datastore.GetRequest()
    get.key.add().CopyFrom(key)
    got = client.call('datastore_v3', 'Get', get, datastore.GetResponse)
    assert got.entity[0].entity.property[0].value.int64Value == value


class GoodClient(threading.Thread):
    """Puts and gets until told to stop; every answer has to be right."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.served, self.failure = server, 0, None
        self._told = threading.Event()

    def run(self):
        try:
            client = Client(self.server.host, self.server.port,
                            timeout=20 * SLOWNESS)
            while not self._told.is_set():
                put_and_get(client, 'meanwhile', self.served)
                self.served += 1
            client.close()
        except Exception as e:
            self.failure = e

    def finish(self):
        self._told.set()
        self.join()
        assert self.failure is None, repr(self.failure)
        assert self.served > 0


@pytest.fixture
def good(server):
    client = GoodClient(server)
    client.start()
    yield client
    client.finish()
    after = Client(server.host, server.port)
    put_and_get(after, 'after', 1)
    after.close()


def read_to_end(s):
    out = b''
    try:
        while data := s.recv(65536):
            out += data
    except ConnectionResetError:
        pass
    return out


def post(body, fields=b''):
    return (b'POST /rpc_http HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n'
            b'\r\n' % (fields, len(body))) + body


def null_call(payload=b''):
    return remote_api.Request(
        service_name='appscale', method='Null', request=payload,
        request_id='t').SerializeToString()


def test_random_bytes_get_400_or_silence(server, good):
    rng = random.Random(1)
    for i in range(200):
        with connect(server) as s:
            s.sendall(rng.randbytes(rng.randrange(1, 4000)))
            s.shutdown(socket.SHUT_WR)
            answer = read_to_end(s)
        assert answer == b'' or answer.startswith(b'HTTP/1.1 4'), (i, answer)


def test_cut_envelopes_are_parse_errors(server, good):
    put = datastore.PutRequest()
    put.entity.add().CopyFrom(entity('cut', 1))
    whole = remote_api.Request(
        service_name='datastore_v3', method='Put', request_id='t',
        request=put.SerializeToString()).SerializeToString()
    client = Client(server.host, server.port)
    for n in range(len(whole)):
        status, body = client.post(whole[:n])
        answer = remote_api.Response.FromString(body)
        assert status == 200
        if not answer.HasField('response'):
            assert answer.rpc_error.code == 2, (n, answer)
    client.close()


def test_wrong_types_and_mangled_requests_get_errors(server, good):
    rng = random.Random(2)
    put = datastore.PutRequest()
    put.entity.add().CopyFrom(entity('mangled', 1))
    valid = put.SerializeToString()
    client = Client(server.host, server.port)
    for service, method in [('datastore_v3', 'Put'), ('datastore_v3', 'Get'),
                            ('datastore_v3', 'RunQuery'), ('memcache', 'Set'),
                            ('datastore_v3', 'Commit'), ('user', 'CreateLoginURL'),
                            ('modules', 'GetModules')]:
        for _ in range(100):
            mangled = bytearray(valid)
            for _ in range(rng.randrange(1, 6)):
                mangled[rng.randrange(len(mangled))] = rng.randrange(256)
            answer = client.envelope(service, method, bytes(mangled))
            assert (answer.HasField('response') + answer.HasField('rpc_error') +
                    answer.HasField('application_error')) == 1
    client.close()


def test_a_body_of_51_mib_is_refused_and_the_reason_read(server, good):
    with connect(server) as s:
        s.sendall(post(bytes(51 * MIB)))
        s.shutdown(socket.SHUT_WR)
        assert read_to_end(s).startswith(b'HTTP/1.1 413 ')


def test_a_chunked_body_of_51_mib_is_refused(server, good):
    chunk = b'100000\r\n' + bytes(MIB) + b'\r\n'
    with connect(server) as s:
        s.sendall(b'POST /rpc_http HTTP/1.1\r\nTransfer-Encoding: chunked'
                  b'\r\n\r\n')
        for _ in range(51):
            s.sendall(chunk)
        s.shutdown(socket.SHUT_WR)
        assert read_to_end(s).startswith(b'HTTP/1.1 413 ')


def test_a_call_over_its_limit_gets_googles_words(server, good):
    client = Client(server.host, server.port)
    with pytest.raises(RpcError) as e:
        client.call('appscale', 'Null', datastore.PutRequest(
            entity=[entity('x' * (2 * MIB), 1)]), datastore.PutResponse)
    assert e.value.code == 5
    assert ('The request to API call appscale.Null() was too large.'
            in str(e.value))
    client.close()


def test_a_thousand_pipelined_calls_are_answered(server, good):
    with connect(server) as s:
        s.sendall(post(null_call()) * 1000)
        s.shutdown(socket.SHUT_WR)
        assert read_to_end(s).count(b'HTTP/1.1 200 OK') == 1000


def test_a_half_closed_client_gets_its_answer(server, good):
    with connect(server) as s:
        s.sendall(post(null_call()))
        s.shutdown(socket.SHUT_WR)
        assert read_to_end(s).endswith(b'\r\n\r\n\n\x00')


def test_clients_that_trickle_hold_nobody_up(server, good):
    slow = [connect(server) for _ in range(200)]
    raw = post(null_call(bytes(100)))
    for i in range(len(raw)):
        for s in slow:
            s.send(raw[i:i + 1])
    for s in slow:
        assert s.recv(4096).startswith(b'HTTP/1.1 200 OK')
        s.close()


def test_clients_that_leave_in_the_middle_are_forgotten(server, good):
    raw = post(null_call(bytes(1000)))
    for i in range(300):
        s = connect(server)
        s.sendall(raw[:1 + i * 7 % len(raw)] if i % 2 else raw)
        s.close()


def test_ten_thousand_idle_connections_hold_nobody_up(server, good):
    want = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < want + 500:
        pytest.skip(f'only {hard} files allowed here')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want + 500), hard))
    idle = []
    try:
        for _ in range(want):
            idle.append(connect(server))
        started = time.monotonic()
        client = Client(server.host, server.port)
        put_and_get(client, 'among-idle', 1)
        client.close()
        assert time.monotonic() - started < 5 * SLOWNESS
        for s in (idle[0], idle[-1]):
            s.sendall(post(null_call()))
            assert s.recv(4096).startswith(b'HTTP/1.1 200 OK')
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
