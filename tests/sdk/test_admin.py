"""What an operator does with an app's data, seen from the app.

The work is asked of the platform service, as the controller asks it.
"""
import itertools
import os
import threading

import pytest

from google.appengine.api import (datastore, datastore_errors,
                                  namespace_manager)
from google.appengine.ext import ndb
from google.appengine.ext.db import stats as db_stats
from google.appengine.ext.ndb import stats as ndb_stats

from lib import sdk
from lib.emulator import REFERENCE
from lib.server import Server

pytestmark = pytest.mark.skipif(REFERENCE, reason='our own work')

STATS, VERIFY, COMPACT = 1, 2, 3


class Box(ndb.Model):
    size = ndb.IntegerProperty()
    tags = ndb.StringProperty(repeated=True)
    note = ndb.TextProperty()


class Toy(ndb.Model):
    name = ndb.StringProperty()


@pytest.fixture
def server():
    before = dict(os.environ)
    with Server(project=sdk.PROJECT) as running:
        sdk.connect(running.host, running.port)
        namespace_manager.set_namespace('')
        ndb.get_context().set_cache_policy(False)
        ndb.get_context().set_memcache_policy(False)
        yield running
    namespace_manager.set_namespace('')
    os.environ.clear()
    os.environ.update(before)


def work(server, kind, **fields):
    """Start it and follow it to its end; its answer."""
    if kind != COMPACT:
        fields['app'] = sdk.PROJECT
    job = server.platform('StartJob', kind=kind, **fields).id
    while True:
        answer = server.platform('GetJob', id=job)
        if answer.done:
            assert not answer.code, answer.why
            return answer


def fill():
    box = Box(id=1, size=3, tags=['a', 'b'], note='x' * 1000).put()
    ndb.put_multi([Toy(parent=box, name=f'toy {i}') for i in range(10)])
    namespace_manager.set_namespace('west')
    Toy(id=1, name='far').put()
    namespace_manager.set_namespace('')


def test_ndb_reads_the_statistics(server):
    fill()
    assert ndb_stats.GlobalStat.query().get() is None
    work(server, STATS)
    total = ndb_stats.GlobalStat.query().get()
    assert total.count == 12
    assert total.bytes == (total.entity_bytes + total.builtin_index_bytes
                           + total.composite_index_bytes)
    assert total.timestamp is not None
    kinds = {s.kind_name: s for s in ndb_stats.KindStat.query()}
    assert {k: s.count for k, s in kinds.items()} == {'Box': 1, 'Toy': 11}
    assert kinds['Box'].entity_bytes > 1000
    found = ndb_stats.KindStat.query(ndb_stats.KindStat.kind_name == 'Toy')
    assert found.get().builtin_index_count == 22
    assert {s.subject_namespace: s.count
            for s in ndb_stats.NamespaceStat.query()} == {'': 11, 'west': 1}
    assert {s.kind_name: s.count
            for s in ndb_stats.KindNonRootEntityStat.query()} == {'Toy': 10}
    types = {(s.kind_name, s.property_name, s.property_type): s.count
             for s in ndb_stats.KindPropertyNamePropertyTypeStat.query()}
    assert types == {('Box', 'size', 'Integer'): 1,
                     ('Box', 'tags', 'String'): 2,
                     ('Box', 'note', 'Text'): 1,
                     ('Toy', 'name', 'String'): 11}
    namespace_manager.set_namespace('west')
    assert ndb_stats.NamespaceGlobalStat.query().get().count == 1
    assert ndb_stats.GlobalStat.query().get() is None


def test_db_reads_them_and_a_second_count_replaces_them(server):
    fill()
    work(server, STATS)
    Toy(name='new').put()
    work(server, STATS)
    assert db_stats.GlobalStat.all().get().count == 13
    assert db_stats.GlobalStat.all().count() == 1
    assert db_stats.KindStat.all().filter('kind_name =', 'Toy').get(
        ).count == 12


def test_an_app_cannot_change_them(server):
    fill()
    work(server, STATS)
    total = ndb_stats.GlobalStat.query().get()
    total.count = 1000
    with pytest.raises(datastore_errors.BadRequestError, match='reserved'):
        total.put()
    with pytest.raises(datastore_errors.BadRequestError, match='reserved'):
        total.key.delete()
    assert ndb_stats.GlobalStat.query().get().count == 12


def test_young_statistics_are_not_counted_again(server):
    first = server.platform('StartJob', kind=STATS, app=sdk.PROJECT,
                            older_than=3600)
    assert first.HasField('id')
    while not server.platform('GetJob', id=first.id).done:
        pass
    assert not server.platform('StartJob', kind=STATS, app=sdk.PROJECT,
                               older_than=3600).HasField('id')
    answer = server.platform('DatastoreStats', app=sdk.PROJECT)
    assert answer.timestamp and answer.total.count == 0


def test_a_verification_beside_writes_finds_nothing(server):
    fill()
    stop = threading.Event()
    failures = []

    def write():
        sdk.use_ticket()
        try:
            for n in itertools.count():
                if stop.is_set():
                    return
                thing = datastore.Entity('Thing', id=1 + n % 7)
                thing['n'] = n
                thing['all'] = [n, n + 1]
                key = datastore.Put(thing)
                if n % 3 == 0:
                    datastore.Delete(key)
        except Exception as e:          # told by the main thread
            failures.append(e)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(10):
            report = work(server, VERIFY)
            assert list(report.fault) == [], report
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not failures
    report = work(server, VERIFY, repair=True)
    assert list(report.fault) == []
    assert report.entities >= 12


def test_a_store_is_compacted_and_keeps_everything(server):
    for i in range(20):
        ndb.put_multi([Box(id=j + 1, note=os.urandom(3000).hex())
                       for j in range(30)])
    done = work(server, COMPACT)
    assert done.compacted and 0 < done.after < done.before
    assert Box.query().count() == 30
    server.restart()
    assert len(Box.get_by_id(30).note) == 6000


def test_memory_has_nothing_to_compact():
    with Server(project=sdk.PROJECT, storage='memory') as memory:
        assert not work(memory, COMPACT).compacted
