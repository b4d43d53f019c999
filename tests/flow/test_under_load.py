"""A platform that is changed and hurt while requests come without a pause: what
fails is counted, and only what a killed process had in its hands may."""
import collections
import http.client
import json
import os
import signal
import threading
import time

import pytest

from flow import apps
from flow.test_scaling import until
from lib import paths

CLIENTS = 8


class Load:
    """Clients that ask one after the other on connections they keep, as long as
    the answers say that they may.  None asks again: what fails is counted."""

    def __init__(self, machine, clients=CLIENTS):
        self.port = machine.settings['http_port']
        self.failed, self.texts = [], collections.Counter()
        self.sent = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *why):
        self.over.set()
        for t in self.threads:
            t.join()

    def ask(self, connection, method, number):
        """The text of the answer, or why there is none."""
        connection.request(
            method, f'/client{number}', headers={'Host': 'demo.localhost'},
            body=b'x' * 100 if method == 'POST' else None)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return None, f'{answer.status} {body[:80]}'
        return json.loads(body)['text'], None

    def run(self, number):
        connection = http.client.HTTPConnection('127.0.0.1', self.port,
                                                timeout=60 * paths.SLOWNESS)
        method = 'GET' if number % 2 else 'POST'
        while not self.over.is_set():
            began = time.monotonic()
            try:
                text, why = self.ask(connection, method, number)
            except (OSError, http.client.HTTPException) as e:
                text, why = None, repr(e)
                connection.close()
            with self.lock:
                self.sent += 1
                if why:
                    self.failed.append((method, began, why))
                else:
                    self.texts[text] += 1
        connection.close()

    def goes_on(self, n=50):
        """Until so many more were answered."""
        before = self.sent
        until(lambda: self.sent >= before + n)

    def lost(self):
        """Those that failed since it was asked last."""
        with self.lock:
            failed, self.failed = self.failed, []
        return failed


@pytest.fixture
def up(machine):
    m = machine.up()
    deploy(m, 'one', '1')
    m.ready()
    return m


def files(text):
    """An answer goes out in one piece, so what is cut is cut whole and may be
    asked for again."""
    return {'server.py': apps.server(text)['server.py'].replace(
        'protocol_version =', 'wbufsize = 65536; protocol_version =')}


def deploy(m, version, text, **more):
    m.deploy('demo', version, files(text), **apps.PLAIN, **more)


def give_traffic(m, **shares):
    m.finish(m.api('PATCH', '/v1/apps/demo/services/default?updateMask=split',
                   {'split': {'shardBy': 'RANDOM', 'allocations': shares}})[1])


def tell(what, load, lost):
    print(f'{what}: {load.sent} requests so far, {len(lost)} failed '
          f'{[w for _, _, w in lost[:3]]}')


def test_no_change_of_what_is_deployed_loses_a_request(up):
    changes = [
        ('deploy another version', lambda: deploy(up, 'two', '2'), '2'),
        ('deploy the same version again', lambda: deploy(up, 'two', '2b'),
         '2b'),
        ('move the traffic back', lambda: give_traffic(up, one=1), '1'),
        ('and forth', lambda: give_traffic(up, two=1), '2b'),
        ('share it out', lambda: give_traffic(up, one=0.5, two=0.5), '1'),
        ('all to one', lambda: give_traffic(up, two=1), '2b'),
        ('deploy a service beside it',
         lambda: up.deploy('demo', 'v', apps.server('s'), service='side',
                           **apps.PLAIN), '2b'),
        ('take it away', lambda: up.finish(
            up.api('DELETE', '/v1/apps/demo/services/side')[1]), '2b'),
        ('take away a former version', lambda: up.finish(
            up.api('DELETE', '/v1/apps/demo/services/default/versions/one')[1]),
         '2b'),
    ]
    with Load(up) as load:
        load.goes_on()
        for what, change, text in changes:
            before = load.texts[text]
            change()
            until(lambda: load.texts[text] > before)
            load.goes_on()
            lost = load.lost()
            tell(what, load, lost)
            assert not lost, what


def test_instances_that_come_and_go_lose_no_request(up):
    deploy(up, 'many', 'm', automaticScaling={
        'maxConcurrentRequests': 2,
        'standardSchedulerSettings': {'minInstances': 3, 'maxInstances': 4}})
    with Load(up, 12) as load:
        load.goes_on(200)
        for pid in [p['pid'] for p in up.status()['processes']
                    if p['name'].startswith('demo/default/many')][1:]:
            os.kill(pid, signal.SIGTERM)    # it ends by itself
            load.goes_on(100)
        lost = load.lost()
        tell('scale up and down', load, lost)
        assert not [f for f in lost if f[0] == 'GET']
        assert len(lost) <= 4, lost
        for _ in range(2):
            deploy(up, 'many', 'again', manualScaling={'instances': 2})
            load.goes_on(100)
        lost = load.lost()
        tell('deploy what is scaled', load, lost)
        assert not lost


def test_a_killed_process_costs_what_it_had_in_its_hands(up):
    with Load(up) as load:
        load.goes_on()
        for name in ('server', 'memcached', 'haproxy', 'demo/default/one',
                     'nginx', 'haproxy', 'nginx', 'demo/default/one'):
            up.kill(name)
            load.goes_on(100)
            lost = load.lost()
            tell(f'kill -9 {name}', load, lost)
            # nginx has one of each client; what haproxy or an instance had is
            # asked again when that is safe.
            assert len(lost) <= CLIENTS, name
            assert name == 'nginx' or \
                not [f for f in lost if f[0] == 'GET'], name
            assert name not in ('server', 'memcached') or not lost
        os.kill(up.controller.pid, signal.SIGKILL)
        up.controller.wait(30)
        load.goes_on(100)
        up.up()
        up.ready()
        load.goes_on(100)
        lost = load.lost()
        tell('kill -9 controller', load, lost)
        assert not lost
