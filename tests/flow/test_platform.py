"""The whole platform, started as a person starts it, under kill -9."""
import http.client
import json
import os
import threading

import pytest

from lib import paths
from lib import ports
from lib.platform import Platform

LEDGER = os.path.join(paths.ROOT, 'tests', 'flow', 'ledger')


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    """Up, with the guestbook and the ledger on it."""
    p = Platform(str(tmp_path_factory.mktemp('cache')))
    try:
        p.up()
        p.deploy(os.path.join(paths.EXAMPLES, 'guestbook'))
        p.deploy(LEDGER, '--project', 'ledger')
        yield p
    finally:
        p.close()


class Writer(threading.Thread):
    """Posts entries one after another; remembers what was acknowledged."""

    def __init__(self, platform, kind, name, enough):
        super().__init__(daemon=True)
        self.platform, self.kind, self.label = platform, kind, name
        self.acknowledged, self.failed = [], 0
        self._enough = enough       # released at every acknowledgement
        self.stop = threading.Event()

    def run(self):
        n = 0
        while not self.stop.is_set():
            n += 1
            name = f'{self.label}-{n}'
            try:
                status = self._post(name)
            except (OSError, http.client.HTTPException):
                status = None
            if status == 200:
                self.acknowledged.append(name)
                self._enough.release()
            else:
                self.failed += 1
                self.stop.wait(0.05)

    def _post(self, name):
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.platform.port, timeout=30)
        try:
            connection.request('POST', f'/{self.kind}/{name}', headers={
                'Host': f'ledger.localhost:{self.platform.port}',
                'Content-Length': '0'})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


class Writers:
    """Four that put and two that put pairs, for the time of a `with`."""

    def __init__(self, platform, label):
        self.enough = threading.Semaphore(0)
        self.threads = [
            Writer(platform, kind, f'{label}-{kind}{i}', self.enough)
            for kind, count in (('put', 4), ('pair', 2))
            for i in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def wait(self, acknowledgements):
        for _ in range(acknowledgements):
            assert self.enough.acquire(timeout=60 * paths.SLOWNESS)

    def __exit__(self, *exc):
        for thread in self.threads:
            thread.stop.set()
        for thread in self.threads:
            thread.join(60 * paths.SLOWNESS)

    def of(self, kind):
        return [name for t in self.threads if t.kind == kind
                for name in t.acknowledged]

    @property
    def failed(self):
        return sum(t.failed for t in self.threads)


def ledger(platform):
    status, text = platform.get('ledger', '/all', timeout=60)
    assert status == 200, text
    return json.loads(text)


def audit(platform, writers):
    """Every acknowledged write is there, and no pair is half there."""
    now = ledger(platform)
    assert now['lost'] == [], 'in an index, but gone'
    missing = set(writers.of('put')) - set(now['keys'])
    assert not missing, 'acknowledged, but gone'
    assert not set(writers.of('pair')) - set(now['pairs'])
    for name, sides in now['pairs'].items():
        assert sorted(sides) == [f'{name}.left', f'{name}.right'], \
            'a transaction is half there'
        assert set(sides) <= set(now['keys'])


def test_the_status_names_every_part(platform):
    status = platform.json('status')
    assert status['ready']
    names = {p['name'].split('/')[0] for p in status['processes']}
    assert names >= {'server', 'nginx', 'haproxy', 'memcached'}, names


@pytest.mark.parametrize('time', range(3))
def test_a_killed_server_has_lost_nothing(platform, time, capsys):
    with Writers(platform, f'server{time}') as writers:
        writers.wait(150)
        pid = platform.process('server')['pid']
        os.kill(pid, 9)
        back = platform.answers('guestbook', within=30)
        with capsys.disabled():
            print(f'\nthe guestbook answered {back:.2f} s after kill -9 of '
                  'the server')
        writers.wait(50)
    assert platform.process('server')['pid'] != pid
    audit(platform, writers)


def pids(platform):
    return {p['name']: p['pid'] for p in platform.json('status')['processes']
            if p['name'] != 'controller'}


def test_requests_go_on_without_a_controller(platform):
    before = pids(platform)
    with Writers(platform, 'controller') as writers:
        writers.wait(20)
        with open(os.path.join(platform.root, 'run',
                               'controller.lock')) as lock:
            os.kill(int(lock.read().split()[0]), 9)
        writers.wait(100)
        platform.up()
        writers.wait(20)
    assert writers.failed == 0
    assert pids(platform) == before, 'not adopted'
    audit(platform, writers)


def test_down_and_up_keep_data_users_and_deployments(platform, capsys):
    platform.create_user('kept@example.com')
    with Writers(platform, 'down') as writers:
        writers.wait(30)
    before = ledger(platform)
    assert platform.down().returncode == 0
    for name in ('http_port', 'api_port'):
        assert ports.is_free(platform.settings[name])
    assert list(platform._mine()) == []
    seconds = platform.up()
    with capsys.disabled():
        print(f'\nappscale up took {seconds:.2f} s')
    platform.answers('ledger')
    platform.answers('guestbook')
    assert ledger(platform) == before
    audit(platform, writers)
    again = platform.cli('create-user', 'kept@example.com', check=False)
    assert again.returncode != 0 and 'already' in again.stderr


def test_down_twice_and_up_twice_are_no_errors(platform):
    platform.up()
    platform.up()
    assert platform.get('ledger')[0] == 200
    platform.down()
    platform.down()
    platform.up()
    platform.answers('ledger')
