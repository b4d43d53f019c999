"""Push tasks through RabbitMQ, which is absent, killed, paused and emptied.

One machine serves all cases; RabbitMQ takes its seconds to start.  The tests
are in the order of its life.
"""
import glob
import os
import select
import signal
import stat
import time

import pika
import pytest
import requests

from flow.machine import Machine
from flow.test_tasks import App, headers_of
from lib import paths
from lib.ports import free_port

QUEUES = '''
queue:
- name: default
  rate: 500/s
- name: other
  rate: 500/s
'''


class Broker:
    """RabbitMQ as the machine's root knows it, and as a client sees it."""

    def __init__(self, machine):
        self.machine = machine
        self.folder = os.path.join(machine.root, 'rabbitmq')
        self.port = machine.settings['rabbitmq_port']

    @property
    def pid(self):
        return self.machine.process('rabbitmq')['pid']

    def signal(self, number):
        os.kill(self.pid, number)

    def channel(self):
        with open(os.path.join(self.folder, 'password')) as f:
            password = f.read()
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            '127.0.0.1', self.port,
            credentials=pika.PlainCredentials('appscale', password)))
        return connection.channel()

    def queue(self, name='appscale.push'):
        channel = self.channel()
        answer = channel.queue_declare(name, passive=True).method
        channel.connection.close()
        return answer

    def figure(self, name):
        """One of the server's broker figures."""
        text = requests.get(
            f'http://127.0.0.1:{self.machine.settings["api_port"]}/metrics',
            timeout=30).text
        for line in text.splitlines():
            if line.startswith(f'appscale_broker_{name} '):
                return int(line.split()[1])
        raise AssertionError(text)

    def wait(self, what, want, within=60):
        end = time.monotonic() + within * paths.SLOWNESS
        while (got := what()) != want:
            assert time.monotonic() < end, got
            time.sleep(0.05)

    def connected(self):
        self.wait(lambda: self.figure('links'), 2)


class Paused:
    """RabbitMQ does not move while this lasts."""

    def __init__(self, broker):
        self.broker, self.pid = broker, broker.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *exc):
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope='module')
def machine(tmp_path_factory, cache):
    m = Machine(tmp_path_factory.mktemp('machine') / 'root', cache,
                task_broker='rabbitmq', rabbitmq_port=free_port(),
                rabbitmq_mb=256, sandbox='off')
    # It cannot start as long as a file is where its folder belongs.
    os.makedirs(m.root, exist_ok=True)
    open(os.path.join(m.root, 'rabbitmq'), 'w').close()
    m.up()
    yield m
    m.erase()


@pytest.fixture(scope='module')
def app(machine, tmp_path_factory):
    app = App(machine, tmp_path_factory.mktemp('seen'))
    app.deploy('one')
    assert machine.api('PUT', '/v1/apps/demo/queues',
                       {'queueYaml': QUEUES})[0] == 200
    app.connect()
    yield app
    app.client.close()


@pytest.fixture
def broker(machine, app):
    seen = os.path.join(app.folder, 'seen')
    if os.path.exists(seen):
        os.unlink(seen)
    return Broker(machine)


def names(app):
    return sorted(headers_of(s)['x-appengine-taskname'] for s in app.seen())


def running(app):
    stats = app.call('FetchQueueStats', queue_name=[b'default'])
    return stats.queuestats[0].scanner_info.requests_in_flight


def test_tasks_wait_for_a_broker_that_starts_late(app, broker):
    added = [app.add(b'/x') for _ in range(20)]
    status = broker.machine.process('rabbitmq')
    assert status['state'] == 'failing'
    assert broker.folder in status['lastError'][0]
    assert broker.machine.ready()['ready']
    assert app.tasks() == 20 and app.seen() == []
    os.unlink(broker.folder)
    app.wait(20, within=90)
    app.finished()
    assert names(app) == sorted(added)


def test_the_broker_is_for_us_alone(broker):
    modes = {name: stat.S_IMODE(os.stat(os.path.join(
        broker.folder, name)).st_mode)
        for name in ('password', '.erlang.cookie', 'rabbitmq.conf')}
    assert modes == dict.fromkeys(modes, 0o600)
    # It listens on its one port of loopback, and no epmd beside it.
    inodes = set()
    for fd in glob.glob(f'/proc/{broker.pid}/fd/*'):
        try:
            inodes.add(os.readlink(fd))
        except FileNotFoundError:
            pass
    listening = set()
    for table in ('tcp', 'tcp6'):
        with open(f'/proc/net/{table}') as f:
            for line in f.readlines()[1:]:
                field = line.split()
                if field[3] == '0A' and f'socket:[{field[9]}]' in inodes:
                    listening.add(field[1])
    assert listening == {f'0100007F:{broker.port:04X}'}
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.ConnectionParameters(
            '127.0.0.1', broker.port))


def test_tasks_go_through_it(app, broker):
    before = broker.figure('published_total')
    app.add(b'/hang/x')
    app.wait(1)
    # The message is with its worker until the outcome is recorded.
    for name, consumers in (('appscale.push', 1), ('appscale.cron', 1)):
        queue = broker.queue(name)
        assert (queue.message_count, queue.consumer_count) == (0, consumers)
    with Paused(broker):
        added = app.add(b'/y')
        broker.wait(lambda: running(app), 2)
        assert len(app.seen()) == 1
    app.wait(2)
    open(os.path.join(app.folder, 'go'), 'w').close()
    app.finished()
    assert added in names(app) and len(app.seen()) == 2
    assert broker.figure('published_total') == before + 2


def test_none_is_lost_when_it_is_killed(app, broker):
    added = [app.add(b'/x') for _ in range(150)]
    old = broker.pid
    gone = os.pidfd_open(old)
    os.kill(old, signal.SIGKILL)
    added += [app.add(b'/x') for _ in range(150)]
    select.select([gone], [], [])
    os.close(gone)
    app.wait(300, within=90)
    app.finished()
    # This server knew which had begun: each ran once.
    assert names(app) == sorted(added)
    assert broker.pid != old


def test_a_pause_makes_tasks_late_and_loses_none(app, broker):
    broker.connected()
    with Paused(broker):
        end = time.monotonic() + 3
        added = [app.add(b'/x') for _ in range(100)]
        while time.monotonic() < end:
            assert app.seen() == []
            time.sleep(0.1)
    app.wait(len(added), within=90)
    app.finished()
    assert names(app) == sorted(added)


def test_what_is_taken_back_during_a_pause_does_not_run(app, broker):
    broker.connected()
    with Paused(broker):
        deleted = app.add(b'/deleted')
        other = app.add(b'/purged', queue=b'other')
        kept = app.add(b'/kept')
        broker.wait(lambda: running(app), 2)
        result = app.call('Delete', queue_name=b'default',
                          task_name=[deleted.encode()])
        assert list(result.result) == [0]
        app.call('PurgeQueue', queue_name=b'other')
        app.call('PauseQueue', queue_name=b'default', app_id=b'demo',
                 pause=True)
        broker.wait(lambda: running(app), 0)
    last = app.add(b'/last', queue=b'other')
    app.wait(1)
    app.finished(b'other')
    assert names(app) == [last] and other != last
    app.call('PauseQueue', queue_name=b'default', app_id=b'demo', pause=False)
    app.wait(2)
    app.finished()
    assert names(app) == sorted([kept, last])


def test_what_is_no_lease_of_ours_is_dropped(app, broker):
    broker.connected()
    stale = broker.figure('stale_total')
    channel = broker.channel()
    for body in (b'', b'AST1', b'x' * 100000):
        channel.basic_publish('', 'appscale.push', body)
    channel.connection.close()
    broker.wait(lambda: broker.figure('stale_total'), stale + 3)
    added = app.add(b'/x')
    app.wait(1)
    app.finished()
    assert names(app) == [added]
    assert broker.queue().message_count == 0


def test_tasks_go_on_when_its_queues_are_deleted(app, broker):
    channel = broker.channel()
    channel.queue_delete('appscale.push')
    channel.queue_delete('appscale.cron')
    channel.connection.close()
    added = [app.add(b'/x') for _ in range(20)]
    app.wait(20, within=90)
    app.finished()
    assert names(app) == sorted(added)


def test_tasks_go_on_when_it_is_killed_with_new_queues(app, broker):
    """RabbitMQ may come back with a queue that nobody serves."""
    broker.connected()
    channel = broker.channel()
    channel.queue_delete('appscale.push')
    channel.queue_delete('appscale.cron')
    channel.connection.close()
    broker.wait(lambda: broker.figure('links') < 2, True)
    broker.connected()
    broker.signal(signal.SIGKILL)
    added = [app.add(b'/x') for _ in range(50)]
    app.wait(50, within=120)
    app.finished()
    assert names(app) == sorted(added)


def test_a_killed_server_leaves_messages_that_do_nothing(app, broker):
    broker.connected()
    with Paused(broker):
        added = [app.add(b'/x') for _ in range(20)]
        broker.wait(lambda: running(app), 20)
        broker.machine.kill('server')
    app.connect()
    app.wait(20, within=90)
    app.finished()
    assert names(app) == sorted(added)


def test_a_new_controller_finds_it(app, broker):
    broker.connected()
    pid = broker.pid
    broker.machine.controller.kill9()
    broker.machine.up()
    assert broker.machine.process('rabbitmq')['state'] == 'ready'
    added = app.add(b'/x')
    app.wait(1)
    assert names(app) == [added]
    assert broker.pid == pid


def test_nothing_of_it_is_left(app, broker):
    root = broker.machine.root.encode()
    assert broker.machine.down() == 0
    left = []
    for path in glob.glob('/proc/[0-9]*/environ'):
        try:
            with open(path, 'rb') as f:
                if b'APPSCALE_CHILD=' + root in f.read():
                    left.append(path)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass
    assert left == []
