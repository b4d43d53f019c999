"""Clients that transfer, append, add and read at once, and write down what
they saw: the histories of lib/history.py.

    python -m lib.txn_load --port P --seed S --worker W --seconds N OUT

is one process of some threads, each with a connection of its own; what thread
T of worker W does follows from the seed alone.  A transaction is one line of
JSON in OUT.  A connection that is cut is opened again for as long as the
process runs, and what was committing then is `unknown`.

setup() makes the accounts and final() reads everything, for the test that
starts the workers.
"""
import argparse
import http.client
import json
import os
import random
import threading
import time
import traceback

from google.appengine.api import api_base_pb2
from google.appengine.datastore import datastore_v3_bytes_pb2 as ds
from google.appengine.datastore import entity_bytes_pb2 as pb

from lib.history import Txn
from lib.rpc import ApplicationError, Client, RpcError

PROJECT = 'checker'
ACCOUNTS = [('Account', i) for i in range(1, 6)]        # a group each
BANK = [('Bank', 1, 'Account', i) for i in range(1, 5)]  # one group
POOLS = {'accounts': ACCOUNTS, 'bank': BANK}
FIRST_BALANCE = 100
REGISTERS = [('Register', i) for i in (1, 2, 3)]
# Lists and sets are left for new ones before they grow long.
LIST_LIFE, SET_LIFE = 60, 40
READ_ONLY, READ_WRITE = 1, 2
CONNECT_S = 60
# A conflict; a transaction that a restart forgot.
REFUSALS = (ds.Error.CONCURRENT_TRANSACTION, ds.Error.BAD_REQUEST)
CUT = (OSError, http.client.HTTPException)


class Refused(Exception):
    """Surely nothing of it was written."""


class Unknown(Exception):
    """It may have been written."""


# ---- entities ----

def key(*path):
    out = pb.Reference(app=f's~{PROJECT}')
    for kind, id in zip(path[::2], path[1::2]):
        out.path.element.add(type=kind, id=id)
    return out


def path_of(reference):
    return [x for e in reference.path.element for x in (e.type, e.id)]


def name(path):
    return '/'.join(f'{k}:{i}' for k, i in zip(path[::2], path[1::2]))


def entity(path, **values):
    out = pb.EntityProto()
    out.key.CopyFrom(key(*path))
    out.entity_group.element.add().CopyFrom(out.key.path.element[0])
    for name, value in values.items():
        several = isinstance(value, list)
        for v in value if several else [value]:
            prop = out.property.add(name=name, multiple=several)
            prop.value.int64Value = v
    return out


def numbers(entity, name):
    return [p.value.int64Value for p in entity.property if p.name == name]


# ---- one transaction ----

class Call:
    """A transaction, or one call without, and what is seen in it."""

    def __init__(self, thread):
        self.client = thread.client
        self.id = thread.next_id()
        self.ops = []
        self.handle = None
        self.start = time.monotonic_ns()

    def rpc(self, method, request, response):
        return self.client().call('datastore_v3', method, request, response)

    def begin(self, mode=READ_WRITE, xg=True):
        self.handle = self.rpc('BeginTransaction', ds.BeginTransactionRequest(
            app=f's~{PROJECT}', allow_multiple_eg=xg, mode=mode),
            ds.Transaction)
        return self

    def inside(self, request):
        if self.handle:
            request.transaction.CopyFrom(self.handle)
        return request

    def get(self, *paths):
        request = self.inside(ds.GetRequest(key=[key(*p) for p in paths]))
        answer = self.rpc('Get', request, ds.GetResponse)
        return [(e.entity if e.HasField('entity') else None, e.version)
                for e in answer.entity]

    def put(self, *entities):
        """In a transaction that is kept for later; else it is written now."""
        request = self.inside(ds.PutRequest(entity=entities))
        if self.handle:
            return self.rpc('Put', request, ds.PutResponse)
        return self.commits(lambda: self.rpc('Put', request, ds.PutResponse))

    def delete(self, path):
        self.rpc('Delete', self.inside(ds.DeleteRequest(key=[key(*path)])),
                 ds.DeleteResponse)

    def query(self, kind, ancestor, keys_only=False):
        """All there is below `ancestor`, or None when it took two batches,
        which outside of a transaction are of two moments."""
        q = self.inside(ds.Query(app=f's~{PROJECT}', kind=kind, count=300,
                                 keys_only=keys_only))
        q.ancestor.CopyFrom(key(*ancestor))
        answer = self.rpc('RunQuery', q, ds.QueryResult)
        found = [*answer.result]
        while answer.more_results:
            if not self.handle:
                return None
            answer = self.rpc('Next', ds.NextRequest(
                cursor=answer.cursor, count=300), ds.QueryResult)
            found += answer.result
        return found

    def commits(self, call):
        """Run what writes; its answer, Refused or Unknown."""
        try:
            return call()
        except ApplicationError as e:
            if e.code in REFUSALS:
                raise Refused from e
            raise Unknown from e
        except (*CUT, RpcError) as e:
            raise Unknown from e

    def commit(self):
        answer = self.commits(lambda: self.rpc(
            'Commit', self.handle, ds.CommitResponse))
        return {name(path_of(v.root_entity_key)): v.version
                for v in answer.version}

    def rollback(self):
        self.rpc('Rollback', self.handle, api_base_pb2.VoidProto)

    # ---- reads that are written down ----

    def balances(self, paths, entities):
        out = {}
        for path, e in zip(paths, entities):
            last, = numbers(e, 'last')
            amount, = numbers(e, 'amount')
            self.ops.append(('balance', name(path), last, amount))
            out[path] = last, amount
        return out

    def whole(self, pool, entities):
        """A pool has all its accounts and all its money."""
        paths = POOLS[pool]
        out = self.balances(paths, entities)
        self.ops.append(('sum', pool, FIRST_BALANCE * len(paths),
                         sum(amount for _, amount in out.values())))
        return out

    def store(self, path, before, amount):
        self.ops.append(('store', name(path), before, amount))
        return entity(path, last=self.id, amount=amount)

    def lists(self, paths):
        out = []
        for path, (e, _) in zip(paths, self.get(*paths)):
            out.append(numbers(e, 'v') if e else [])
            self.ops.append(('read', name(path), out[-1]))
        return out

    def registers(self):
        for path, (e, version) in zip(REGISTERS, self.get(*REGISTERS)):
            self.ops.append(('get', name(path), *(
                (numbers(e, 'last')[0], version) if e else (0, 0))))

    def scan(self, root):
        found = self.query('Item', root, keys_only=True)
        if found is None:
            return []
        items = [path_of(e.key)[-1] for e in found]
        self.ops.append(('scan', name(root), items))
        return items


class Thread:
    """A client, which chooses what to do from its seed."""

    def __init__(self, port, seed, worker, thread):
        self.port = port
        self.dice = random.Random(f'{seed}.{worker}.{thread}')
        self.ids = (worker * 100 + thread + 1) * 1000000
        self.count = 0
        self.connection = None
        self.out = []

    def next_id(self):
        self.count += 1
        return self.ids + self.count

    def client(self):
        if self.connection is None:
            self.connection = Client('127.0.0.1', self.port)
        return self.connection

    def reconnect(self):
        """Until the server listens again; a socket has no event for it."""
        give_up = time.monotonic() + CONNECT_S
        self.connection = None
        while True:
            try:
                client = Client('127.0.0.1', self.port)
                client.connect()
                self.connection = client
                return
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.01)

    def run(self, seconds):
        stop = time.monotonic() + seconds
        try:
            while time.monotonic() < stop:
                step = self.dice.choices(STEPS, WEIGHTS)[0]
                call = Call(self)
                self.record(call, *self.outcome(call, step))
        except BaseException:
            traceback.print_exc()
            os._exit(1)         # the whole process, from any thread

    def outcome(self, call, step):
        try:
            return (step(self, call) or 'ok'), False
        except ApplicationError as e:
            if e.code not in REFUSALS:
                raise
            return 'fail', False        # nothing had been committed yet
        except Refused:
            return 'fail', False
        except Unknown as e:
            return 'unknown', isinstance(e.__cause__, CUT)
        except CUT:
            return 'fail', True

    def record(self, call, outcome, cut):
        self.out.append((call.id, call.start, time.monotonic_ns(), outcome,
                         call.ops))
        if cut:
            self.reconnect()

    # ---- what they do ----

    def end(self, call):
        """Commit, and now and then not."""
        if self.dice.random() < 0.05:
            call.rollback()
            return 'fail'
        told = call.commit()
        call.ops = [(*op[:2], told.get(op[1])) if op[0] == 'put' else op
                    for op in call.ops]
        return 'ok'

    def transfer(self, call):
        a, b = self.dice.sample(ACCOUNTS, 2)
        call.begin()
        if self.dice.random() < 0.5:
            read = [e for e, _ in call.get(a, b)]
        else:
            read = [call.get(a)[0][0], call.get(b)[0][0]]
        return self.move(call, call.balances([a, b], read), a, b)

    def bank_transfer(self, call):
        """Within one group, found by a query or by their keys."""
        a, b = self.dice.sample(BANK, 2)
        call.begin(xg=False)
        if self.dice.random() < 0.5:
            read = call.whole('bank', call.query('Account', ('Bank', 1)))
        else:
            read = call.balances([a, b], [e for e, _ in call.get(a, b)])
        return self.move(call, read, a, b)

    def move(self, call, read, a, b):
        by = self.dice.randint(1, 30)
        (last_a, amount_a), (last_b, amount_b) = read[a], read[b]
        puts = [call.store(a, last_a, amount_a - by),
                call.store(b, last_b, amount_b + by)]
        if self.dice.random() < 0.5:
            call.put(*puts)
        else:
            for e in puts:
                call.put(e)
        return self.end(call)

    def audit(self, call):
        """Read-only, an account at a time."""
        call.begin(mode=READ_ONLY)
        paths = self.dice.sample(ACCOUNTS, len(ACCOUNTS))
        read = {p: call.get(p)[0][0] for p in paths}
        call.whole('accounts', [read[p] for p in ACCOUNTS])
        call.commit()

    def bank_audit(self, call):
        if self.dice.random() < 0.5:
            call.begin(mode=READ_ONLY, xg=False)
        call.whole('bank', call.query('Account', ('Bank', 1)))
        if call.handle:
            call.commit()

    def snapshot(self, call):
        """One Get without a transaction is of one moment, too."""
        call.whole('accounts', [e for e, _ in call.get(*ACCOUNTS)])

    def list_paths(self, n):
        base = self.count // LIST_LIFE * 3
        return [('List', base + i) if i < 3 else ('Shelf', base + 1, 'List', i)
                for i in self.dice.sample(range(1, 6), n)]

    def append(self, call):
        """To some, on the grounds of these and of others."""
        paths = self.list_paths(self.dice.choice([1, 2, 3]))
        writes = self.dice.randint(1, len(paths))
        call.begin()
        values = call.lists(paths)
        puts = []
        for i, path in enumerate(paths[:writes]):
            new = [call.id * 10 + i]
            if self.dice.random() < 0.2:
                new.append(call.id * 10 + 5 + i)
            call.ops.append(('append', name(path), new))
            puts.append(entity(path, v=values[i] + new))
        call.put(*puts)
        if self.dice.random() < 0.3:
            call.put(self.item(call, self.set_root()))
        if self.dice.random() < 0.3:
            call.put(self.register(call))
        return self.end(call)

    def read_lists(self, call):
        if self.dice.random() < 0.5:
            call.begin(mode=READ_ONLY)
        call.lists(self.list_paths(3))
        if call.handle:
            call.commit()

    def set_root(self):
        return 'Set', self.count // SET_LIFE * 2 + self.dice.choice([1, 2])

    def item(self, call, root):
        call.ops.append(('add', name(root), call.id))
        return entity((*root, 'Item', call.id), n=1)

    def register(self, call):
        path = self.dice.choice(REGISTERS)
        call.ops.append(('put', name(path), None))
        return entity(path, last=call.id)

    def blind(self, call):
        """Writes that read nothing, in several groups at once."""
        call.begin()
        roots = {self.set_root(), self.set_root()}
        call.put(*[self.item(call, root) for root in sorted(roots)])
        call.put(self.register(call))
        return self.end(call)

    def put_register(self, call):
        """Without a transaction."""
        answer = call.put(self.register(call))
        call.ops = [('put', call.ops[0][1], answer.version[0])]

    def put_item(self, call):
        call.put(self.item(call, self.set_root()))

    def scan(self, call):
        """Two sets, the registers, and once more the first."""
        call.begin(mode=READ_ONLY)
        root = self.set_root()
        call.scan(root)
        call.registers()
        if self.dice.random() < 0.5:
            call.scan(self.set_root())
            call.scan(root)
        call.commit()

    def scan_and_write(self, call):
        """Take an item away, or add one, on the grounds of a query."""
        root = self.set_root()
        call.begin()
        items = call.scan(root)
        if items and self.dice.random() < 0.4:
            item = self.dice.choice(items)
            call.ops.append(('drop', name(root), item))
            call.delete((*root, 'Item', item))
        else:
            call.put(self.item(call, self.set_root()))
        return self.end(call)

    def group_version(self, call):
        root = self.set_root()
        (found, _), = call.get((*root, '__entity_group__', 1))
        call.ops.append(('group', name(root),
                         numbers(found, '__version__')[0]))


STEPS, WEIGHTS = zip(
    (Thread.transfer, 6), (Thread.bank_transfer, 3), (Thread.append, 6),
    (Thread.audit, 2), (Thread.bank_audit, 2), (Thread.snapshot, 2),
    (Thread.read_lists, 3), (Thread.blind, 3), (Thread.put_register, 2),
    (Thread.put_item, 3), (Thread.scan, 3), (Thread.scan_and_write, 3),
    (Thread.group_version, 3))


# ---- before and after ----

def setup(port):
    """The accounts, each with its first money."""
    Call(Thread(port, 0, 90, 0)).put(
        *[entity(p, last=0, amount=FIRST_BALANCE) for p in ACCOUNTS + BANK])


def everything(client, kind):
    """Every entity of a kind, when nobody writes any more."""
    answer = client.call('datastore_v3', 'RunQuery', ds.Query(
        app=f's~{PROJECT}', kind=kind, count=300), ds.QueryResult)
    found = [*answer.result]
    while answer.more_results:
        answer = client.call('datastore_v3', 'Next', ds.NextRequest(
            cursor=answer.cursor, count=300), ds.QueryResult)
        found += answer.result
    return found


def final(port):
    """The transaction at the end of a history, which reads everything."""
    call = Call(Thread(port, 0, 99, 0))
    call.whole('accounts', [e for e, _ in call.get(*ACCOUNTS)])
    call.whole('bank', call.query('Account', ('Bank', 1)))
    call.registers()
    client = Client('127.0.0.1', port)
    for e in everything(client, 'List'):
        call.ops.append(('read', name(path_of(e.key)), numbers(e, 'v')))
    sets = {}
    for e in everything(client, 'Item'):
        path = path_of(e.key)
        sets.setdefault(name(path[:2]), []).append(path[-1])
    call.ops += [('scan', root, items) for root, items in sets.items()]
    client.close()
    return Txn(call.id, call.start, time.monotonic_ns(), 'ok', call.ops,
               final=True)


def read_history(path):
    with open(path) as f:
        return [Txn(*json.loads(line)) for line in f]


def main():
    args = argparse.ArgumentParser()
    for option in ('--port', '--worker', '--threads'):
        args.add_argument(option, type=int, required=True)
    args.add_argument('--seed', required=True)
    args.add_argument('--seconds', type=float, required=True)
    args.add_argument('out')
    args = args.parse_args()
    clients = [Thread(args.port, args.seed, args.worker, i)
               for i in range(args.threads)]
    threads = [threading.Thread(target=c.run, args=(args.seconds,))
               for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with open(args.out, 'w') as f:
        for c in clients:
            f.writelines(json.dumps(txn) + '\n' for txn in c.out)


if __name__ == '__main__':
    main()
