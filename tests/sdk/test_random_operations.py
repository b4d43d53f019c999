"""The server and Google's own stub, given the same random operations.

Every seed plays some hundred operations against `appscale emulator` and
against lib/reference.py, raw protos both; answers have to be equal, in
results, order, codes and sentences.  Where docs/compatibility.md takes
another way, _same_error() and the pools of lib/dice.py keep clear of it.

APPSCALE_SEEDS=100:140 plays others than the default ones; a failure names its
seed and the last operations.
"""
import os
import sys

import pytest
from google.protobuf import text_format
from google.appengine.api import api_base_pb2
from google.appengine.datastore import datastore_v3_bytes_pb2 as ds

from lib import paths
from lib.dice import Dice, NAMESPACES
from lib.emulator import Emulator, REFERENCE
from lib.process import Process
from lib.rpc import ApplicationError, Client, RpcError

pytestmark = pytest.mark.skipif(REFERENCE, reason='it needs both')
PROJECT = 'differential'
OPERATIONS = 150
STUB_CRASHED = 3                # what lib/reference.py makes of an exception
CONFLICT = ('ApplicationError', ds.Error.CONCURRENT_TRANSACTION,
            'Concurrency exception.')
RESPONSES = {
    'Get': ds.GetResponse, 'Put': ds.PutResponse, 'Delete': ds.DeleteResponse,
    'RunQuery': ds.QueryResult, 'Next': ds.QueryResult,
    'BeginTransaction': ds.Transaction, 'Commit': ds.CommitResponse,
    'Rollback': api_base_pb2.VoidProto, 'AllocateIds': ds.AllocateIdsResponse,
}


def seeds():
    first, last = os.environ.get('APPSCALE_SEEDS', '1:5').split(':')
    return range(int(first), int(last))


class Failure(Exception):
    """An error both gave, or only one: equal when code and text are."""

    def __init__(self, error):
        super().__init__(str(error))
        self.error = (type(error).__name__, error.code, error.detail)


class Side:
    """One of the two."""

    def __init__(self, host, port):
        self.client = Client(host, port)

    def call(self, method, request):
        try:
            return self.client.call('datastore_v3', method, request,
                                    RESPONSES[method])
        except (ApplicationError, RpcError) as error:
            raise Failure(error) from None


@pytest.fixture(scope='module')
def stub():
    """Where the stub listens; every seed clears it."""
    process = Process(
        [sys.executable, '-m', 'lib.reference', '--project', PROJECT],
        cwd=os.path.join(paths.ROOT, 'tests'), name='reference')
    try:
        port = int(process.wait_line(r'export API_PORT=(\d+)')[1])
        yield '127.0.0.1', port
    finally:
        process.kill_session()


@pytest.fixture
def emulator():
    """One of its own for each seed: an app has at most 200 indexes."""
    with Emulator(project=PROJECT) as emu:
        yield emu
        assert emu.stop() == 0, emu.output()


def plain(entity):
    return entity.SerializeToString(deterministic=True)


def row(entity):
    """A projection has the order of its index, the stub's the entity's."""
    if not entity.HasField('entity_group') or not entity.entity_group.element:
        entity.property.sort(key=lambda p: p.name)
    return plain(entity)


def line(message):
    return text_format.MessageToString(message, as_one_line=True)


class Game:
    def __init__(self, emulator, stub, seed):
        self.app = f's~{PROJECT}'
        self.emulator = emulator
        self.ours = Side(emulator.host, emulator.port)
        self.theirs = Side(*stub)
        self.dice = Dice(seed, self.app)
        self.seed = seed
        self.log = []

    # ---- both at once ----

    def fail(self, what, ours, theirs):
        log = '\n'.join(self.log[-12:])
        raise AssertionError(
            f'seed {self.seed}, operation {len(self.log)}: {what}\n'
            f'ours:   {ours}\ntheirs: {theirs}\n--- the last calls:\n{log}')

    def equal(self, what, ours, theirs):
        if ours != theirs:
            self.fail(what, ours, theirs)

    def both(self, method, request, make=None):
        """Call both; (ours, theirs), or None when both failed alike."""
        self.log.append(f'{method} {line(request)}')
        answers, errors = [], []
        for side in (self.ours, self.theirs):
            mine = type(request)()
            mine.CopyFrom(request)
            if make:
                make(side, mine)
            try:
                answers.append(side.call(method, mine))
                errors.append(None)
            except Failure as failure:
                errors.append(failure.error)
        if errors == [None, None]:
            return answers
        if method in ('Get', 'RunQuery', 'Next') and errors[0] == CONFLICT:
            raise Lost(errors[1])
        self._same_error(method, *errors)
        return None

    def _same_error(self, method, ours, theirs):
        if theirs and theirs[:2] == ('RpcError', STUB_CRASHED):
            self.fail(f'{method}: the stub crashed', ours, theirs)
        if ours and 'handle' in ours[2]:    # handles differ
            ours = theirs and (*ours[:2], theirs[2])
        self.equal(f'error of {method}', ours, theirs)

    # ---- operations ----

    def cost(self, method, answers):
        """Not that of indexes: which there are is each one's own matter."""
        self.equal(f'cost of {method}',
                   *(a.cost.entity_writes for a in answers))

    def put(self, make=None, root=None):
        request = ds.PutRequest()
        for _ in range(self.dice.choice([1, 1, 2, 6])):
            key = self.dice.key(root=root) if root else None
            request.entity.add().CopyFrom(self.dice.entity(key))
        answers = self.both('Put', request, make)
        if answers:
            self.equal('keys of Put', *([*map(plain, a.key)]
                                        for a in answers))
            self.cost('Put', answers)

    def delete(self, make=None, root=None):
        request = ds.DeleteRequest()
        for _ in range(self.dice.choice([1, 1, 3])):
            request.key.add().CopyFrom(self.dice.key(root=root))
        answers = self.both('Delete', request, make)
        if answers:
            self.cost('Delete', answers)

    def get(self, make=None, root=None):
        request = ds.GetRequest()
        for _ in range(self.dice.randint(1, 5)):
            request.key.add().CopyFrom(self.dice.key(root=root))
        answers = self.both('Get', request, make)
        if answers:
            self.equal('Get', *([
                plain(e.entity if e.HasField('entity') else e.key)
                for e in a.entity] for a in answers))
            self.equal('in_order', *(a.in_order for a in answers))

    def allocate(self):
        request = ds.AllocateIdsRequest(size=self.dice.randint(1, 20))
        request.model_key.CopyFrom(self.dice.key())
        answers = self.both('AllocateIds', request)
        if answers:
            self.equal('AllocateIds', *(a.end - a.start + 1 for a in answers))

    # ---- queries ----

    def query(self, make=None, ancestor=None):
        q = self.dice.query(ancestor)
        rows = self.run(q, make)
        if rows and rows[0] and not make:
            at = self.dice.randrange(len(rows[0]))
            self.resume(q, [side[at][1] for side in rows])

    def run(self, q, make=None):
        """The whole of a query, batch by batch: [(row, cursor)] of both."""
        answers = self.both('RunQuery', q, make)
        rows = [], []
        for _ in range(500):
            if not answers:
                return None
            self.compare(answers, rows)
            if not answers[0].more_results:
                return rows
            following = ds.NextRequest(compile=True)
            if q.HasField('count'):
                following.count = q.count
            at = dict(zip((self.ours, self.theirs), answers))
            answers = self.both(
                'Next', following,
                lambda side, r: r.cursor.CopyFrom(at[side].cursor))
        self.fail('a query without end', q, '')

    def compare(self, answers, rows):
        for name in ('more_results', 'skipped_results', 'keys_only'):
            self.equal(name, *(getattr(a, name) for a in answers))
        for a, mine in zip(answers, rows):
            mine.extend(zip(map(row, a.result), a.result_compiled_cursor,
                            strict=True))
        if [r for r, _ in rows[0]] != [r for r, _ in rows[1]]:
            self.fail('rows', *('\n'.join(map(line, a.result))
                                for a in answers))

    def resume(self, q, cursors):
        """Go on behind a row, or end before it."""
        values = [v.property_name
                  for v in cursors[1].postfix_position.index_value]
        if len(values) != len({*values}):
            return              # of several values the stub writes all
        again = ds.Query()
        again.CopyFrom(q)
        again.ClearField('offset')
        as_end = self.dice.often(0.3)
        at = dict(zip((self.ours, self.theirs), cursors))
        self.run(again, lambda side, r: (
            r.end_compiled_cursor if as_end else r.compiled_cursor
            ).CopyFrom(at[side]))

    # ---- transactions ----

    def transaction(self):
        """Two at once over few groups, and now and then a write beside."""
        open_ones = [Txn(self) for _ in range(self.dice.choice([1, 2]))]
        while open_ones:
            txn = self.dice.choice(open_ones)
            if self.dice.often(0.2):
                self.put(root=txn.root())
            elif self.dice.often(0.2):
                open_ones.remove(txn)
                txn.end()
            elif not txn.step():
                open_ones.remove(txn)

    def clear(self):
        """The stub begins from nothing, too."""
        for space in NAMESPACES:
            q = ds.Query(app=self.app, name_space=space, keys_only=True,
                         count=300)
            answer = self.theirs.call('RunQuery', q)
            self.theirs.call('Delete', ds.DeleteRequest(
                key=[e.key for e in answer.result]))
            assert not answer.more_results

    def play(self, operations):
        steps = [self.put] * 6 + [self.delete] + [self.get] * 2 + [
            self.query] * 10 + [self.transaction] * 2 + [self.allocate]
        for _ in range(operations):
            self.dice.choice(steps)()

    def power_cut(self):
        """All that was answered has to be there after it."""
        self.emulator.kill9()
        self.emulator.restart()
        self.ours = Side(self.emulator.host, self.emulator.port)


class Lost(Exception):
    """Our side gave a transaction up; with the stub's error, if any."""


class Txn:
    """One transaction of both, until it has ended or lost."""

    def __init__(self, game):
        self.game = game
        xg = game.dice.often(0.4)
        self.handles = dict(zip((game.ours, game.theirs), game.both(
            'BeginTransaction', ds.BeginTransactionRequest(
                app=game.app, allow_multiple_eg=xg))))
        self.roots = [game.dice.root() for _ in range(
            game.dice.choice([1, 2, 3]) if xg else 1)]

    def root(self):
        return self.game.dice.choice(self.roots)

    def inside(self, side, request):
        request.transaction.CopyFrom(self.handles[side])

    def step(self):
        """False once the transaction is lost."""
        game = self.game
        what = game.dice.choice([game.put, game.put, game.get, game.get,
                                 self.delete, game.query])
        try:
            if what == game.query:
                game.query(self.inside, ancestor=self.root())
            else:
                what(self.inside, root=self.root())
        except Lost as lost:
            self.must_fail(lost.args[0])
            return False
        return True

    def delete(self, inside, root):
        """With a put beside: a delete of nothing moves only the stub's."""
        self.game.delete(inside, root)
        self.game.put(inside, root)

    def must_fail(self, error):
        """A lost transaction writes nothing, whatever it does next."""
        game = self.game
        if error not in (None, CONFLICT):
            game.fail('error of a read', CONFLICT, error)
        for side in (game.ours, game.theirs)[:1 if error else 2]:
            put = ds.PutRequest(transaction=self.handles[side])
            put.entity.add().CopyFrom(game.dice.entity(self.root()))
            try:
                side.call('Put', put)
                side.call('Commit', self.handles[side])
            except Failure as failure:
                game.equal('a lost transaction', CONFLICT, failure.error)
            else:
                game.fail('a lost transaction', 'wrote', '')

    def end(self):
        game = self.game
        method = game.dice.choice(['Commit', 'Commit', 'Commit', 'Rollback'])
        game.both(method, ds.Transaction(app=game.app),
                  lambda side, r: r.CopyFrom(self.handles[side]))


@pytest.mark.parametrize('seed', seeds())
def test_random_operations_have_the_stubs_answers(emulator, stub, seed):
    game = Game(emulator, stub, seed)
    game.clear()
    game.play(OPERATIONS)
    game.power_cut()
    game.play(OPERATIONS)
