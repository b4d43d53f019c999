"""nginx is reloaded, and no client finds its connection closed."""
import contextlib
import os
import re
import socket
import ssl
import threading
import time

import pytest

from flow import apps
from flow.test_scaling import until
from lib import paths

STREAM = """
import os, socket, time

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(os.environ["PORT"])))
s.listen(64)
while True:
    c, _ = s.accept()
    if b"/stream" not in c.recv(65536):
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n"
                  b"Connection: close\\r\\n\\r\\nok")
    elif os.fork() == 0:
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 40\\r\\n"
                  b"Connection: close\\r\\n\\r\\n")
        for _ in range(40):
            c.sendall(b"x")
            time.sleep(0.1)
        os._exit(0)
    c.close()
"""


@pytest.fixture
def m(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    machine.ready()
    return machine


class Client:
    """A connection, byte for byte."""

    def __init__(self, m, name='http_port', tls=False):
        self.s = socket.create_connection(
            ('127.0.0.1', m.settings[name]), timeout=30 * paths.SLOWNESS)
        if tls:
            context = ssl._create_unverified_context()
            self.s = context.wrap_socket(self.s, server_hostname='localhost')
        self.rest = b''

    def send(self, text):
        self.s.sendall(text.encode())

    def until(self, mark):
        while mark not in self.rest:
            got = self.s.recv(65536)
            if not got:
                raise EOFError(self.rest)
            self.rest += got
        before, self.rest = self.rest.split(mark, 1)
        return before

    def answer(self):
        """Status, whether the connection stays, and the body."""
        head = self.until(b'\r\n\r\n').decode()
        n = int(re.search(r'(?i)content-length: (\d+)', head)[1])
        while len(self.rest) < n:
            got = self.s.recv(65536)
            if not got:
                raise EOFError(self.rest)
            self.rest += got
        body, self.rest = self.rest[:n].decode(), self.rest[n:]
        return (int(head.split()[1]),
                not re.search('(?i)connection: close', head), body)

    def ask(self, path='/', host='demo.localhost'):
        self.send(f'GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n')
        return self.answer()


def deploy(m, version='two'):
    m.deploy('demo', version, apps.server(version), **apps.PLAIN)


def workers(m):
    with open(os.path.join(m.root, 'run', 'nginx.pid')) as f:
        pid = f.read().strip()
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        return f.read().split()


def test_a_connection_outlives_the_configuration(m):
    """It is the same one, and the next answer is the new version's."""
    used, silent = Client(m), Client(m)
    assert '"text": "one"' in used.ask()[2]
    for version in ('two', 'three'):
        deploy(m, version)
        until(lambda: len(workers(m)) == 1)
        status, stays, body = used.ask()
        assert (status, stays) == (200, True)
        assert f'"text": "{version}"' in body
    assert silent.ask()[0] == 200


def test_many_connections_are_passed_on(m):
    clients = [Client(m) for _ in range(400)]
    for c in clients[:300]:
        assert c.ask('/_ah/nothing')[0] == 200
    deploy(m)
    until(lambda: len(workers(m)) == 1)
    for c in clients:
        status, stays, body = c.ask()
        assert (status, stays) == (200, True) and '"text": "two"' in body


def test_a_connection_with_a_request_is_passed_on_after_the_answer(m):
    asking = Client(m)
    asking.send('GET /slow HTTP/1.1\r\nHost: demo.localhost\r\n\r\n')
    deploy(m)
    assert asking.answer()[:2] == (200, True)
    assert '"text": "two"' in asking.ask()[2]


def test_half_a_request_is_waited_for(m):
    half = Client(m)
    half.send('GET / HTTP/1.1\r\nHost: demo.')
    deploy(m)
    half.send('localhost\r\n\r\n')
    status, stays, _ = half.answer()
    assert status == 200
    if stays:
        assert half.ask()[0] == 200


def test_an_answer_that_takes_longer_than_the_retreat_is_whole(m):
    m.deploy('stream', 'one', {'server.py': STREAM}, **apps.PLAIN)
    reading = Client(m)
    reading.send('GET /stream HTTP/1.1\r\nHost: stream.localhost\r\n\r\n')
    reading.until(b'\r\n\r\n')
    began = time.monotonic()
    deploy(m)
    assert time.monotonic() - began < 3 * paths.SLOWNESS
    while len(reading.rest) < 40:
        got = reading.s.recv(100)
        assert got
        reading.rest += got
    assert reading.rest == b'x' * 40
    until(lambda: len(workers(m)) == 1)


def test_tls_is_closed_in_order(m):
    """Its keys stay with the worker that has them."""
    c = Client(m, 'https_port', tls=True)
    assert c.ask()[0] == 200
    deploy(m)
    assert c.s.recv(1) == b''
    assert Client(m, 'https_port', tls=True).ask()[0] == 200


def test_kept_connections_do_not_keep_nginx(m):
    clients = [Client(m) for _ in range(5)]
    for c in clients:
        c.ask()
    began = time.monotonic()
    assert m.down() == 0
    assert time.monotonic() - began < 10 * paths.SLOWNESS
    for c in clients:
        assert c.s.recv(1) == b''


def test_reloads_one_after_the_other_lose_nothing(m):
    lost, over = [], threading.Event()

    def run():
        c = Client(m)
        while not over.is_set():
            try:
                if c.ask()[:2] != (200, True):
                    lost.append('not kept')
            except (OSError, EOFError) as e:
                lost.append(repr(e))
                c = Client(m)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [t.join() for t in threads])
        stack.callback(over.set)
        for i in range(6):
            deploy(m, f'v{i % 3}')
    assert lost == []
