"""Random writes and queries, here and on the SDK's own stub: one answer.

Both servers get the same requests, made from a seed; what they answer must be
the same keys in the same order, and the same values.  The seed stands in the
test's name; APPSCALE_SEED runs another one.
"""
import os
import random
import sys

import pytest

from google.appengine.datastore import datastore_pb
from google.appengine.datastore import entity_bytes_pb2 as entity_pb

from lib import sdk
from lib.emulator import REFERENCE
from lib.process import Process
from lib.rpc import ApplicationError, Client

SEEDS = [int(os.environ['APPSCALE_SEED'])] if 'APPSCALE_SEED' in os.environ \
    else [1, 2, 3]
STEPS = 250
KINDS = ['A', 'B', 'AB']
NAMES = ['a', 'b', 'ab', 'a\0', '\u00e9', 'z' * 40]
PROPERTIES = ['p', 'q', 'pq']
Query = datastore_pb.Query


@pytest.fixture(scope='module')
def reference():
    """The SDK's stub behind the same wire."""
    process = Process([sys.executable, '-m', 'lib.reference', '--project',
                       sdk.PROJECT], name='reference')
    port = process.wait_line(r'API_PORT=(\d+)')[1]
    yield Client('127.0.0.1', int(port))
    process.stop()


class Maker:
    """Requests out of a seeded generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.namespace = f'diff{seed}'

    def element(self, path):
        element = path.element.add()
        element.type = self.random.choice(KINDS)
        if self.random.random() < 0.5:
            element.id = self.random.randint(1, 6)
        else:
            element.name = self.random.choice(NAMES).encode()

    def key(self, depth=None):
        key = entity_pb.Reference(app=f's~{sdk.PROJECT}',
                                  name_space=self.namespace)
        for _ in range(depth or self.random.choice([1, 1, 2, 3])):
            self.element(key.path)
        return key

    def value(self, value):
        kind = self.random.randrange(7)
        if kind == 0:
            value.int64Value = self.random.randint(-3, 3)
        elif kind == 1:
            value.stringValue = self.random.choice(NAMES).encode()
        elif kind == 2:
            value.booleanValue = self.random.random() < 0.5
        elif kind == 3:
            value.doubleValue = self.random.choice([-1.5, 0.0, 2.5])
        elif kind == 4:
            value.pointvalue.x = self.random.choice([-1.0, 1.0])
            value.pointvalue.y = 2.0
        elif kind == 5:
            value.int64Value = self.random.choice([-2**63, 2**63 - 1])
        return value                # else null

    def entity(self):
        entity = entity_pb.EntityProto()
        entity.key.CopyFrom(self.key())
        entity.entity_group.element.add().CopyFrom(entity.key.path.element[0])
        for name in PROPERTIES:
            how_many = self.random.choice([0, 1, 1, 3])
            for _ in range(how_many):
                raw = self.random.random() < 0.15 and how_many == 1
                prop = (entity.raw_property if raw else entity.property).add(
                    name=name, multiple=how_many > 1)
                self.value(prop.value)
                prop.value.SetInParent()
        return entity

    def query(self):
        """One that needs no composite index."""
        query = Query(app=f's~{sdk.PROJECT}', name_space=self.namespace,
                      compile=True)
        chance = self.random.random()
        if chance < 0.9:
            query.kind = self.random.choice(KINDS)
        if chance < 0.3 or chance >= 0.9:
            if self.random.random() < 0.6:
                query.ancestor.CopyFrom(self.key(self.random.choice([1, 2])))
        elif chance < 0.5:
            for name in self.random.sample(PROPERTIES,
                                           self.random.choice([1, 2])):
                self.filter(query, name, Query.Filter.EQUAL)
        else:
            self.range(query, self.random.choice(PROPERTIES))
        if self.random.random() < 0.3:
            query.limit = self.random.randint(0, 8)
        if self.random.random() < 0.3:
            query.offset = self.random.randint(0, 8)
        if self.random.random() < 0.5:
            query.count = self.random.randint(1, 5)
        query.keys_only = self.random.random() < 0.3
        return query

    def range(self, query, name):
        for op in self.random.choice(
                [[], [1], [2], [3], [4], [3, 1], [4, 2]]):
            self.filter(query, name, op)
        if not query.filter or self.random.random() < 0.7:
            query.order.add(property=name.encode(),
                            direction=self.random.choice([1, 2]))

    def filter(self, query, name, op):
        prop = query.filter.add(op=op).property.add(name=name, multiple=False)
        self.value(prop.value)
        prop.value.SetInParent()


def results(client, query):
    """Every result, through RunQuery and Next."""
    batch = client.call('datastore_v3', 'RunQuery', query,
                        datastore_pb.QueryResult)
    found, skipped = list(batch.result), batch.skipped_results
    while batch.more_results:
        request = datastore_pb.NextRequest(compile=True)
        request.cursor.CopyFrom(batch.cursor)
        batch = client.call('datastore_v3', 'Next', request,
                            datastore_pb.QueryResult)
        found += batch.result
        skipped += batch.skipped_results
    return skipped, [plain(e) for e in found]


def plain(entity):
    """What counts of an entity, as text."""
    return (str(entity.key.path),
            [str(p) for p in entity.property],
            [str(p) for p in entity.raw_property])


def on_both(here, there, call):
    """The same outcome, or the same error number."""
    def outcome(client):
        try:
            return call(client)
        except ApplicationError as e:
            return 'error', e.code
    mine, wanted = outcome(here), outcome(there)
    assert mine == wanted


def write(maker, here, there):
    request = datastore_pb.PutRequest()
    seen = set()
    for _ in range(maker.random.randint(1, 5)):
        entity = maker.entity()
        if str(entity.key) not in seen:     # twice in one Put: left open
            seen.add(str(entity.key))
            request.entity.add().CopyFrom(entity)
    on_both(here, there, lambda c: [str(k.path) for k in c.call(
        'datastore_v3', 'Put', request, datastore_pb.PutResponse).key])


def delete(maker, here, there):
    request = datastore_pb.DeleteRequest()
    for _ in range(maker.random.randint(1, 3)):
        request.key.add().CopyFrom(maker.key())
    on_both(here, there, lambda c: c.call(
        'datastore_v3', 'Delete', request,
        datastore_pb.DeleteResponse) and None)


def get(maker, here, there):
    request = datastore_pb.GetRequest()
    for _ in range(5):
        request.key.add().CopyFrom(maker.key())
    on_both(here, there, lambda c: [
        plain(e.entity) if e.HasField('entity') else None
        for e in c.call('datastore_v3', 'Get', request,
                        datastore_pb.GetResponse).entity])


def query(maker, here, there):
    request = maker.query()
    try:
        on_both(here, there, lambda c: results(c, request))
    except AssertionError as e:
        raise AssertionError(f'{request}\n{e}')


@pytest.mark.skipif(REFERENCE, reason='it would be compared with itself')
@pytest.mark.parametrize('seed', SEEDS)
def test_both_answer_the_same(emulator, reference, seed):
    maker = Maker(seed)
    here = Client(emulator.host, emulator.port)
    for _ in range(STEPS):
        step = maker.random.choices([write, delete, get, query],
                                    [4, 1, 1, 6])[0]
        step(maker, here, reference)
    here.close()
