"""Task queues keep their promises while everything is killed again and again.

Producers and workers of lib/task_load.py add, lease and delete; an app answers
well, badly, late, by halves or not at all; server and app are killed and come
back.  lib/task_history.py says whether every acknowledged task ran, none more
often or earlier than it may, and no queue was exceeded.  Faults planted in the
service must be found.

A failure prints its seed, which gives the same plans and kills again, not the
same timing.  APPSCALE_TASK_SEED=N plays that one, APPSCALE_TASK_SECONDS=600
plays longer.
"""
import os
import random
import sys
import time

import pytest

from lib import paths, task_history, task_load
from lib.emulator import REFERENCE
from lib.ports import free_port
from lib.process import Process, ProcessError
from lib.server import Server
from lib.task_history import History, check

pytestmark = pytest.mark.skipif(REFERENCE, reason='about our own server')
SEED = os.environ.get('APPSCALE_TASK_SEED') or str(
    random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get('APPSCALE_TASK_SECONDS', '3'))
DRAIN_S = 60
ALWAYS = 10**9
# Where the server can be cut while it works for a task.
CRASHES = ['rocksdb.commit.begin', 'rocksdb.commit.written',
           'taskqueue.outcome.crash', 'engine.txn.commit.crash']


class World:
    """Server, app, producers and pullers; the history they make."""

    def __init__(self, seed, folder, faults='', seconds=SECONDS, workers=2):
        self.folder, self.kills = str(folder), []
        self.app_port, self.files, self.app = free_port(), [], None
        self.dice = random.Random(f'kill {seed}')
        self.processes = []
        self.server = Server(task_load.PROJECT, faults=faults, options=[
            '--app-url', f'http://127.0.0.1:{self.app_port}'])
        try:
            self.start_app()
            task_load.setup(self.server.port)
            more = ['--port', self.server.port, '--seed', seed]
            self.producers = [self.run('producer', *more, '--worker', w,
                                       '--seconds', seconds)
                              for w in range(workers)]
            self.puller = self.run('puller', *more)
        except BaseException:
            self.close()
            raise

    def run(self, role, *options):
        file = os.path.join(self.folder, f'{role}-{len(self.files)}.history')
        self.files.append(file)
        process = Process([sys.executable, '-m', 'lib.task_load', role,
                           *options, file], name=role,
                          cwd=os.path.join(paths.ROOT, 'tests'))
        self.processes.append(process)
        return process

    def start_app(self):
        self.app = self.run('app', '--listen', self.app_port)
        self.app.wait_line('listening')

    def kill_app(self):
        since = task_load.now()
        self.app.kill9()
        self.start_app()
        self.kills.append(('app', since, task_load.now()))

    def kill_server(self, faults='', wait=None):
        """kill -9, or let it die of its fault; and start it again."""
        since = task_load.now()
        if wait and self.server.process.ends_within(wait):
            pass
        else:
            since = task_load.now()
            self.server.process.kill9()
        self.kills.append(('server', since, task_load.now()))
        try:
            self.server.start(faults)
        except ProcessError:
            assert faults and self.server.process.returncode == -9
            self.kills.append(('server', since, task_load.now()))
            self.server.start()         # it died before it was ready

    def producing(self):
        return any(p.returncode is None for p in self.producers)

    def drain(self):
        """Until no task is left."""
        for p in self.producers:
            assert p.wait(DRAIN_S) == 0, p.output(40)
        end = time.monotonic() + DRAIN_S * paths.SLOWNESS
        while (left := task_load.waiting(self.server.port)) != {}:
            assert time.monotonic() < end, (left, self.server.output(40))
            time.sleep(0.05)
        assert self.puller.stop() == 0, self.puller.output(40)

    def history(self):
        """All that was seen; after everything had ended a kill brings nothing
        back."""
        self.drain()
        empty = task_load.now()
        self.kill_server()
        assert not self.server.process.ends_within(0.5)
        events = [e for f in self.files for e in task_load.read_log(f)]
        txns = sorted({e['txn'] for e in events
                       if e['e'] == 'add' and e['txn']})
        events += [{'e': 'entity', 'id': i}
                   for i in task_load.committed(self.server.port, txns)]
        assert self.server.stop() == 0, self.server.output()
        return History(events, task_load.QUEUES, self.kills, empty)

    def close(self):
        for p in self.processes:
            p.kill_session()
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def kill_all(world):
    while world.producing():
        if world.dice.random() < 0.35:
            world.kill_app()
            continue
        faults = ''
        if world.dice.random() < 0.5:
            faults = (f'{world.dice.choice(CRASHES)}='
                      f'1@{world.dice.randrange(200)}')
        world.kill_server(faults, wait=world.dice.uniform(0.3, 2))
    world.kill_server()                 # the next one has no fault


def kill_none(world):
    pass


def kill_once(world):
    """The server, when it had time to write everything."""
    for p in world.producers:
        p.wait(60)
    time.sleep(2.5 * paths.SLOWNESS)
    world.kill_server()


def play(seed, folder, faults='', killed=kill_none, **more):
    with World(seed, folder, faults, **more) as world:
        killed(world)
        return world.history()


def tell(seed, history, anomalies):
    shown = sorted(anomalies, key=lambda a: len(str(a)))[:6]
    names = sorted({a.name for a in anomalies})
    return '\n'.join([
        f'APPSCALE_TASK_SEED={seed}: {len(history.adds)} tasks, '
        f'{len(history.runs)} runs, {len(history.leases)} leases, '
        f'{len(history.kills)} kills; {len(anomalies)} anomalies {names}',
        *map(str, shown)])


@pytest.mark.parametrize('killed', [kill_none, kill_all])
def test_every_promise_is_kept(tmp_path, killed):
    history = play(SEED, tmp_path, killed=killed)
    anomalies = check(history)
    print(tell(SEED, history, anomalies))
    assert not anomalies, tell(SEED, history, anomalies)
    assert len(history.runs) > 100
    assert {r.queue for r in history.runs} == {*task_load.QUEUES}


# What is planted, what kills, and what must be found.
FAULTS = [
    ('a failure that ends a task', 'taskqueue.failure.ends', kill_none,
     'lost'),
    ('two attempts of a token', 'taskqueue.token.free', kill_none, 'rate'),
    ('a lease that is not written', 'taskqueue.lease.unwritten', kill_none,
     'lease'),
    ('an end that is not written', 'taskqueue.outcome.unwritten', kill_once,
     'ran again'),
]


@pytest.mark.parametrize('label, fault, killed, name', FAULTS,
                         ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_found(tmp_path, label, fault, killed, name):
    with World(SEED, tmp_path, f'{fault}={ALWAYS}', seconds=1,
               workers=1) as world:
        killed(world)
        history = world.history()
    anomalies = check(history)
    print(tell(SEED, history, anomalies))
    assert name in {a.name for a in anomalies}, tell(SEED, history, anomalies)


# ---- what no fault is planted for: histories written by hand ----

def added(id='a', **more):
    return {'e': 'add', 'id': id, 'queue': 'q', 'name': 'n', 'eta': 0,
            'named': False, 'limit': None, 'txn': None, 'how': 'ok',
            't0': 10, 't1': 20, **more}


def ran(seq=1, t=100, answer='200', took=10, number=None, **more):
    start = {'e': 'start', 'app': 1, 'seq': seq, 'id': 'a', 'name': 'n',
             'queue': 'q', 'retries': 0, 'executions': 0, 'previous': None,
             'eta': 0, 't': t, 'attempt': f'{1:016x}{number or seq:016x}',
             **more}
    return [start, {'e': 'end', 'app': 1, 'seq': seq, 't': t + took,
                    'answer': answer}, {'e': 'sent', 'app': 1, 'seq': seq}]


RETRY = {'retries': 1, 'executions': 1, 'previous': 500}
HISTORIES = [
    (None, [added(), *ran()]),
    (None, [added(), *ran(answer='500'),
            *ran(2, 10**6, **RETRY, eta=200110)]),
    ('lost', [added()]),
    ('lost', [added(how='txn', txn=7), {'e': 'entity', 'id': 7}]),
    ('ghost', [added(how='txn', txn=7), *ran()]),
    ('ghost', [added(how='refused'), *ran()]),
    ('ghost', ran()),
    ('early', [added(eta=101), *ran(eta=101)]),
    ('early', [added(eta=101), *ran(eta=0)]),
    ('backoff', [added(), *ran(answer='500'),
                 *ran(2, 10**6, **RETRY, eta=150000)]),
    ('headers', [added(), *ran(answer='500'),
                 *ran(2, 10**6, **{**RETRY, 'previous': 404}, eta=200110)]),
    ('headers', [added(), *ran(answer='500'),
                 *ran(2, 10**6, **{**RETRY, 'executions': 0}, eta=200110)]),
    ('headers', [added(), *ran(answer='500'), *ran(2, 10**6, eta=200110)]),
    ('limit', [added(limit=0), *ran(answer='500'),
               *ran(2, 10**6, **RETRY, eta=200110)]),
    ('sent twice', [added(), *ran(answer='cut'), *ran(2, 200, number=1)]),
    ('ran again', [added(), *ran(), *ran(2, 200, retries=1)]),
    ('two names', [added(), *ran(answer='500'),
                   *ran(2, 10**6, name='m', answer='500')]),
    ('name twice', [added(named=True), *ran(),
                    {'e': 'again', 'id': 'a', 'name': 'n', 'result': 0}]),
    ('ran deleted', [added(eta=90), *ran(eta=90), {
        'e': 'delete', 'id': 'a', 'name': 'n', 'queue': 'q', 't0': 30,
        't1': 40, 'eta': 90}]),
    ('concurrency', [e for i in range(3) for e in (
        added(str(i)), *ran(i + 1, 100 + i, id=str(i), name=str(i)))]),
    # As many as are too many even with the lateness a slow machine is given.
    ('rate', [e for i in range(int(20 * 2 * task_history.LATE) + 10) for e in (
        added(str(i)), *ran(i + 1, 100 * i, id=str(i), name=str(i)))]),
]


@pytest.mark.parametrize('name, events', HISTORIES,
                         ids=[f'{i} {h[0]}' for i, h in enumerate(HISTORIES)])
def test_histories_by_hand(name, events):
    queues = {'q': task_history.Queue(rate=20, bucket=5, concurrent=2,
                                      min_backoff=0.2)}
    found = {a.name for a in check(History(events, queues, []))}
    assert (name in found) if name else not found, found
