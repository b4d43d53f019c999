"""memcache and Google's own stub, given the same random calls.

As test_differential.py: raw protos, a seed, equal answers.  What each side
numbers by itself (cas ids) is mapped, times and recency are left out, and no
item ends within the test.
"""
import os
import random
import sys

import pytest
from google.protobuf import text_format
from google.appengine.api.memcache import memcache_service_pb2 as mc

from lib import paths
from lib.emulator import Emulator, REFERENCE
from lib.process import Process
from lib.rpc import ApplicationError, Client

pytestmark = pytest.mark.skipif(REFERENCE, reason='it needs both')
PROJECT = 'differential'
KEYS = [b'a', b'b', b'c d', b'\0\xff', b'k' * 250]
VALUES = [b'', b'0', b'7', b'18446744073709551615', b'18446744073709551616',
          b'text', b'\0\xff', b'-3']
FAR = 100000                    # seconds: nothing ends meanwhile
Set, Increment = mc.MemcacheSetRequest, mc.MemcacheIncrementRequest


class Game:
    def __init__(self, ours, theirs, seed):
        self.sides = ours, theirs
        self.dice = random.Random(seed)
        self.seed = seed
        self.cas = {}           # (namespace, key): the ids of both
        self.log = []

    def both(self, method, *requests, response=None):
        """Call each side with its request; the answers, equal or not."""
        answers = []
        name = f'Memcache{response or method}Response'
        line = text_format.MessageToString(requests[0], as_one_line=True)
        self.log.append(f'{method} {line[:400]}')
        for side, request in zip(self.sides, requests * (3 - len(requests))):
            try:
                answers.append(side.call('memcache', method, request,
                                         getattr(mc, name)))
            except ApplicationError as error:
                answers.append(error.code)
        return answers

    def equal(self, ours, theirs):
        log = '\n'.join(self.log[-8:])
        assert ours == theirs, f'seed {self.seed}:\n{log}'

    def space(self):
        return self.dice.choice(['', 'n1'])

    def key(self):
        return self.dice.choice(KEYS)

    def set(self):
        requests = [Set(name_space=self.space()) for _ in self.sides]
        requests[1].name_space = requests[0].name_space
        for key in self.dice.sample(KEYS, self.dice.randint(1, 3)):
            item = {'key': key, 'value': self.dice.choice(VALUES),
                    'flags': self.dice.choice([0, 2, 7]),
                    'set_policy': self.dice.choice(
                        [Set.SET, Set.ADD, Set.REPLACE, Set.CAS]),
                    'expiration_time': self.dice.choice([0, FAR])}
            ids = self.cas.get((requests[0].name_space, key))
            for i, request in enumerate(requests):
                add = request.item.add(**item)
                if item['set_policy'] == Set.CAS and ids:
                    add.cas_id, add.for_cas = ids[i], True
        self.equal(*(list(a.set_status) for a in self.both('Set', *requests)))

    def get(self):
        request = mc.MemcacheGetRequest(name_space=self.space(), for_cas=True)
        request.key.extend(self.dice.sample(KEYS, self.dice.randint(1, 4)))
        answers = [{i.key: i for i in a.item}
                   for a in self.both('Get', request)]
        self.equal(*({k: (i.value, i.flags) for k, i in a.items()}
                     for a in answers))
        for key in answers[0]:
            self.cas[request.name_space, key] = [a[key].cas_id
                                                 for a in answers]

    def delete(self):
        request = mc.MemcacheDeleteRequest(name_space=self.space())
        for key in self.dice.sample(KEYS, self.dice.randint(1, 2)):
            request.item.add(key=key,
                             delete_time=self.dice.choice([0, 0, FAR]))
        self.equal(*(list(a.delete_status)
                     for a in self.both('Delete', request)))

    def one(self, request, space):
        request.key = self.key()
        self.cas.pop((space, request.key), None)    # the stub keeps the id
        request.delta = self.dice.choice([0, 1, 5, 2**63, 2**64 - 1])
        request.direction = self.dice.choice(
            [Increment.INCREMENT, Increment.DECREMENT])
        if self.dice.random() < 0.5:
            request.initial_value = self.dice.choice([0, 10, 2**64 - 1])
            if self.dice.random() < 0.5:
                request.initial_flags = 2

    def increment(self):
        request = Increment(name_space=self.space())
        self.one(request, request.name_space)
        ours, theirs = self.both('Increment', request)
        if theirs == mc.MemcacheServiceError.UNSPECIFIED_ERROR:
            # Nothing to count on; Go knows it by the number it misses.
            assert not ours.HasField('new_value')
        else:
            self.equal(*(a if isinstance(a, int) else a.new_value
                         for a in (ours, theirs)))

    def batch(self):
        request = mc.MemcacheBatchIncrementRequest(name_space=self.space())
        for _ in range(self.dice.randint(1, 3)):
            self.one(request.item.add(), request.name_space)
        self.equal(*([(i.new_value, i.increment_status) for i in a.item]
                     for a in self.both('BatchIncrement', request)))

    def play(self, calls):
        self.both('FlushAll', mc.MemcacheFlushRequest(), response='Flush')
        steps = [self.set] * 4 + [self.get] * 4 + [
            self.delete, self.increment, self.batch]
        for _ in range(calls):
            self.dice.choice(steps)()


@pytest.fixture(scope='module')
def both():
    stub = Process(
        [sys.executable, '-m', 'lib.reference', '--project', PROJECT],
        cwd=os.path.join(paths.ROOT, 'tests'), name='reference')
    try:
        port = int(stub.wait_line(r'export API_PORT=(\d+)')[1])
        with Emulator(project=PROJECT) as emu:
            yield Client(emu.host, emu.port), Client('127.0.0.1', port)
            assert emu.stop() == 0, emu.output()
    finally:
        stub.kill_session()


@pytest.mark.parametrize('seed', range(1, 7))
def test_random_calls_have_the_stubs_answers(both, seed):
    Game(*both, seed).play(200)
