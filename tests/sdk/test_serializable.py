"""Transactions of many clients at once are serializable, kills or no kills.

Clients of lib/txn_load.py transfer, append, add and read; lib/history.py says
whether what they saw is a serial history in real time, with nothing lost that
was acknowledged and nothing there that was refused.  On `rocksdb` the server
is killed again and again meanwhile, at any moment or between two steps of a
commit.  Faults planted in the engine must be found.

A failure prints its seed and the smallest cycle.  A seed gives the same plans
and the same kills, not the same timing.  APPSCALE_TXN_SEED=N plays that one,
APPSCALE_TXN_SECONDS=600 plays longer.
"""
import os
import random
import sys

import pytest

from lib import paths, txn_load
from lib.emulator import REFERENCE
from lib.history import check
from lib.process import Process
from lib.server import Server

pytestmark = pytest.mark.skipif(REFERENCE, reason='about our own server')
SEED = os.environ.get('APPSCALE_TXN_SEED') or str(
    random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get('APPSCALE_TXN_SECONDS', '3'))
WORKERS, THREADS = 2, 5
ALWAYS = 10**9
# Where a commit can be cut.
CRASHES = ['rocksdb.commit.begin', 'rocksdb.commit.checked',
           'rocksdb.commit.written', 'rocksdb.commit.cached',
           'engine.txn.commit.crash']


class Load:
    """The workers' processes."""

    def __init__(self, port, seed, seconds, folder):
        self.files = [os.path.join(folder, f'{w}.history')
                      for w in range(WORKERS)]
        self.processes = [Process(
            [sys.executable, '-m', 'lib.txn_load', '--port', port,
             '--seed', seed, '--worker', w, '--threads', THREADS,
             '--seconds', seconds, file],
            cwd=os.path.join(paths.ROOT, 'tests'), name=f'worker {w}')
            for w, file in enumerate(self.files)]
        self.seconds = seconds

    def running(self):
        return all(p.returncode is None for p in self.processes)

    def history(self):
        for p in self.processes:
            assert p.wait(self.seconds + 60) == 0, p.output(40)
        return [t for f in self.files for t in txn_load.read_history(f)]

    def close(self):
        for p in self.processes:
            p.kill_session()


def kill(server, load, dice):
    """Kill it at a random moment, or let it crash inside a commit, and start
    it again, for as long as there is load."""
    faults = ''
    while load.running():
        if faults and server.process.ends_within(2):
            pass
        elif not server.process.ends_within(dice.uniform(0.1, 1.0)):
            server.process.kill9()
        faults = (f'{dice.choice(CRASHES)}=1@{dice.randrange(300)}'
                  if dice.random() < 0.6 else '')
        server.start(faults)


def play(seed, storage, folder, faults='', seconds=SECONDS, killed=None):
    """A history; `killed` restarts the server while it is made."""
    with Server(txn_load.PROJECT, storage, faults) as server:
        txn_load.setup(server.port)
        load = Load(server.port, seed, seconds, str(folder))
        try:
            if killed:
                killed(server, load, random.Random(f'kill {seed}'))
            history = load.history()
        finally:
            load.close()
        history.append(txn_load.final(server.port))
        assert server.stop() == 0, server.output()
    return history


def tell(seed, history, anomalies):
    outcomes = [t.outcome for t in history]
    counts = ', '.join(f'{outcomes.count(o)} {o}'
                       for o in ('ok', 'fail', 'unknown'))
    shown = sorted(anomalies, key=lambda a: len(str(a)))[:5]
    return '\n'.join([f'APPSCALE_TXN_SEED={seed}: {len(history)} '
                      f'transactions, {counts}; {len(anomalies)} anomalies',
                      *map(str, shown)])


@pytest.mark.parametrize('storage, killed', [
    ('memory', None), ('rocksdb', None), ('rocksdb', kill),
], ids=['memory', 'rocksdb', 'rocksdb killed again and again'])
def test_the_history_is_serializable(tmp_path, storage, killed):
    history = play(SEED, storage, tmp_path, killed=killed)
    anomalies = check(history)
    print(tell(SEED, history, anomalies))
    assert not anomalies, tell(SEED, history, anomalies)
    assert sum(t.outcome == 'ok' for t in history) > 50
    assert killed or all(t.outcome != 'unknown' for t in history)


def crash_once(server, load, dice):
    """It dies of the fault and comes back without."""
    server.process.wait(30)
    server.start()


# What is planted, what kills, and the anomalies of which one must be found.
FAULTS = [
    ('a condition left out', f'engine.txn.skip_condition={ALWAYS}', None,
     {'lost update', 'lost acknowledged write', 'G-single', 'G2'}),
    ('a commit in two', f'engine.txn.split_commit={ALWAYS}', None,
     {'G-single', 'money', 'fuzzy read'}),
    ('half a commit, then a crash',
     f'engine.txn.split_commit={ALWAYS},engine.txn.split_commit.crash=1@50',
     crash_once, {'torn commit', 'money', 'G-single'}),
]


@pytest.mark.parametrize('label, faults, killed, names', FAULTS,
                         ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_found(tmp_path, label, faults, killed, names):
    storage = 'rocksdb' if killed else 'memory'
    history = play(SEED, storage, tmp_path, faults, seconds=1,
                   killed=killed)
    anomalies = check(history)
    print(tell(SEED, history, anomalies))
    assert names & {a.name for a in anomalies}, tell(SEED, history, anomalies)
