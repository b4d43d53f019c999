"""The edges of queries: nothing, more than there is, data that changes between
two pages, and what a transaction that failed has left behind.

The composite indexes make themselves: this module's emulator has no
index.yaml.
"""
import threading

import pytest

from google.appengine.api import datastore, datastore_errors
from google.appengine.api import namespace_manager
from google.appengine.datastore import datastore_query
from google.appengine.ext import db, ndb

from lib import sdk
from lib.emulator import Emulator


@pytest.fixture(scope='module')
def emulator():
    with Emulator(project=sdk.PROJECT) as emu:
        yield emu
        assert emu.stop() == 0, emu.output()


class Row(ndb.Model):
    n = ndb.IntegerProperty()
    half = ndb.IntegerProperty()
    tags = ndb.StringProperty(repeated=True)


def write(count, **more):
    return ndb.put_multi([
        Row(id=f'{i:04d}', n=i, half=i // 2, tags=[f't{i % 3}'], **more)
        for i in range(count)])


@pytest.fixture
def rows(api):
    return write(25)


def ns(entities):
    return [e.n for e in entities]


# ---- offset, limit, count ----

QUERIES = [
    ('a kind', lambda: Row.query()),
    ('an order', lambda: Row.query().order(Row.n)),
    ('a descending order', lambda: Row.query().order(-Row.n)),
    ('a range', lambda: Row.query(Row.n >= 0)),
    ('two orders', lambda: Row.query().order(-Row.half, Row.n)),
    ('a projection', lambda: Row.query(projection=['n'])),
]
CUTS = [(0, 0), (0, 1), (0, 25), (0, 26), (24, 1), (24, 5), (25, 1), (26, 1),
        (1000, 5), (2**31 - 1, 5), (5, 0), (0, 2**31 - 1), (7, 9)]


@pytest.mark.parametrize('label, query', QUERIES, ids=[q[0] for q in QUERIES])
def test_any_offset_and_limit(rows, label, query):
    whole = ns(query().fetch())
    assert sorted(whole) == [*range(25)]
    for offset, limit in CUTS:
        cut = {'offset': offset, 'limit': limit, 'batch_size': limit or 1}
        want = whole[offset:offset + limit]
        assert ns(query().fetch(**cut)) == want
        if label != 'a projection':
            keys = query().fetch(keys_only=True, **cut)
            assert [int(k.id()) for k in keys] == want


def test_count_stops_at_its_limit(rows):
    assert Row.query().count() == 25
    assert [Row.query().count(n) for n in (1, 24, 25, 26)] == [1, 24, 25, 25]
    assert Row.query(Row.n > 100).count() == 0
    assert ndb.Query(kind='Nothing').count() == 0
    assert db.Query(keys_only=True).ancestor(
        db.Key.from_path('No', 1)).count() == 0


def test_an_offset_of_thousands(api):
    ndb.put_multi([Row(id=i + 1, n=i) for i in range(2300)])
    query = Row.query().order(Row.n)
    assert ns(query.fetch(3, offset=2250)) == [2250, 2251, 2252]
    assert ns(query.fetch(3, offset=2299)) == [2299]
    assert query.fetch(3, offset=2300) == []
    assert query.count() == 2300
    assert ns(query.iter(batch_size=1000)) == [*range(2300)]


@pytest.mark.parametrize('offset, limit, count', [
    (0, 0, 0), (0, 5, 0), (3, 2, 0), (25, 1, 1), (30, 5, 5), (0, 5, 5)])
def test_a_cursor_after_offset_and_limit_goes_on(rows, offset, limit, count):
    """As it stands at the end of a batch, whatever was returned."""
    query = datastore.Query('Row')
    query.Order('n')
    got = [*query.Run(offset=offset, limit=limit, batch_size=count or None,
                      produce_cursors=True)]
    assert [e['n'] for e in got] == [*range(25)][offset:offset + limit]
    rest = datastore.Query('Row', cursor=query.GetCursor())
    rest.Order('n')
    assert [e['n'] for e in rest.Run()] == [*range(min(25, offset + limit),
                                                   25)]


# ---- cursors, while the data changes ----

def put(n, id=None):
    Row(id=id or f'new{n}', n=n, half=n // 2).put()


def move(old, new):
    row = Row.get_by_id(f'{old:04d}')
    row.n = new
    row.put()


def delete(*ns):
    ndb.delete_multi([ndb.Key(Row, f'{n:04d}') for n in ns])


# label, what happens after the row 9, what follows it then.
CHANGES = [
    ('nothing', lambda: None, [*range(10, 25)]),
    ('the row itself goes', lambda: delete(9), [*range(10, 25)]),
    ('the next one goes', lambda: delete(10), [*range(11, 25)]),
    ('all around it go', lambda: delete(*range(5, 15)), [*range(15, 25)]),
    ('everything goes', lambda: delete(*range(25)), []),
    ('one comes before', lambda: put(3), [*range(10, 25)]),
    ('one comes after', lambda: put(12), [10, 11, 12, *range(12, 25)]),
    ('one comes at its place, by key behind', lambda: put(9, 'zz'),
     [9, *range(10, 25)]),
    ('one comes at its place, by key before', lambda: put(9, '00'),
     [*range(10, 25)]),
    ('it moves forward', lambda: move(9, 20),
     [*range(10, 20), 20, *range(20, 25)]),
    ('one that was seen moves forward', lambda: move(2, 30),
     [*range(10, 25), 30]),
    ('one to come moves back', lambda: move(12, -1),
     [10, 11, *range(13, 25)]),
]


@pytest.mark.parametrize('label, change, want', CHANGES,
                         ids=[c[0] for c in CHANGES])
def test_a_cursor_over_changed_data(rows, label, change, want):
    query = Row.query().order(Row.n)
    _, cursor, _ = query.fetch_page(10)
    change()
    cursor = datastore_query.Cursor(urlsafe=cursor.urlsafe())
    assert ns(query.fetch(start_cursor=cursor)) == want
    seen = []
    while True:
        page, cursor, more = query.fetch_page(4, start_cursor=cursor)
        seen += ns(page)
        if not more:
            break
    assert seen == want


# the same from the end: with row 15 the descending page of ten is full.
DESCENDING = [
    ('the row itself goes', lambda: delete(15), [*range(14, -1, -1)]),
    ('the next one goes', lambda: delete(14), [*range(13, -1, -1)]),
    ('one comes at its place, by key behind', lambda: put(15, 'zz'),
     [15, *range(14, -1, -1)]),
    ('one comes at its place, by key before', lambda: put(15, '00'),
     [*range(14, -1, -1)]),
    ('one comes after', lambda: put(14, 'zz'), [14, *range(14, -1, -1)]),
]


@pytest.mark.parametrize('label, change, want', DESCENDING,
                         ids=[c[0] for c in DESCENDING])
def test_a_descending_cursor_over_changed_data(rows, label, change, want):
    query = Row.query().order(-Row.n)
    _, cursor, _ = query.fetch_page(10)
    change()
    assert ns(query.fetch(start_cursor=cursor)) == want


@pytest.mark.parametrize('label, change, want', CHANGES,
                         ids=[c[0] for c in CHANGES])
def test_an_end_cursor_over_changed_data(rows, label, change, want):
    """What is before it and what is behind it are everything, once."""
    query = Row.query().order(Row.n)
    _, cursor, _ = query.fetch_page(10)
    change()
    assert ns(query.fetch(end_cursor=cursor)) + want == ns(query.fetch())


def test_a_reversed_cursor_goes_back_the_same_way(rows):
    up = Row.query().order(Row.n, Row.key)
    down = Row.query().order(-Row.n, -Row.key)
    _, cursor, _ = up.fetch_page(10)
    assert ns(down.fetch(start_cursor=cursor.reversed())) == [
        *range(9, -1, -1)]


@pytest.mark.parametrize('label, query', [
    ('merged equalities', lambda: Row.query(Row.tags == 't1', Row.half == 3)),
    ('equality and order',
     lambda: Row.query(Row.tags == 't1').order(-Row.n)),
    ('keys only', lambda: Row.query(default_options=ndb.QueryOptions(
        keys_only=True))),
    ('distinct', lambda: Row.query(projection=['half'], distinct=True)),
    ('an ancestor', lambda: Row.query(ancestor=ndb.Key(Row, '0003'))),
    ('kindless', lambda: ndb.Query(ancestor=ndb.Key(Row, '0003'))),
], ids=lambda v: v if isinstance(v, str) else '')
def test_pages_of_one_are_the_whole(rows, label, query):
    whole, got, cursor, more = query().fetch(), [], None, True
    assert whole
    while more:
        page, cursor, more = query().fetch_page(1, start_cursor=cursor)
        got += page
    assert got == whole


# ---- IN and != ----

EITHER = [
    ('a value twice', lambda: Row.query(Row.n.IN([3, 3, 1])), [1, 3]),
    ('none that is there', lambda: Row.query(Row.n.IN([99, -1])), []),
    ('one', lambda: Row.query(Row.n.IN([7])), [7]),
    ('thirty', lambda: Row.query(Row.n.IN([*range(30)])), [*range(25)]),
    ('of a list property', lambda: Row.query(Row.tags.IN(['t0', 't2'])),
     [i for i in range(25) if i % 3 != 1]),
    ('with another order',
     lambda: Row.query(Row.half.IN([1, 2])).order(-Row.n), [5, 4, 3, 2]),
    ('and another filter',
     lambda: Row.query(Row.half.IN([1, 2, 3]), Row.n > 3), [4, 5, 6, 7]),
    ('not equal', lambda: Row.query(Row.n != 24, Row.n > 20), [21, 22, 23]),
    ('not equal, descending',
     lambda: Row.query(Row.n != 0).order(-Row.n), [*range(24, 0, -1)]),
    ('or', lambda: Row.query(ndb.OR(Row.n == 3, Row.half == 4)), [3, 8, 9]),
    ('or of and', lambda: Row.query(ndb.OR(
        ndb.AND(Row.n > 3, Row.n < 6), Row.n == 20)), [4, 5, 20]),
]


@pytest.mark.parametrize('label, query, want', EITHER,
                         ids=[e[0] for e in EITHER])
def test_one_of_several(rows, label, query, want):
    got = ns(query().fetch())
    assert (got if 'order' in label or 'desc' in label
            else sorted(got)) == want
    assert query().count() == len(want)
    assert len(query().fetch(2)) == min(2, len(want))


# ---- after a transaction that failed ----

def in_other_thread(call, namespace):
    def run():
        sdk.use_ticket()
        namespace_manager.set_namespace(namespace)
        call()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def lose(body):
    """Run it in a transaction that another one overtakes."""
    root = ndb.Key('Root', 1)

    class Root(ndb.Model):
        n = ndb.IntegerProperty(default=0)
    Root(key=root).put()
    namespace = namespace_manager.get_namespace()

    def overtake():
        entity = datastore.Entity('Root', id=1, namespace=namespace)
        entity['n'] = 1
        datastore.Put(entity)

    @ndb.transactional(xg=True, retries=0)
    def run():
        root.get()
        body()
        in_other_thread(overtake, namespace)
    with pytest.raises((datastore_errors.TransactionFailedError,
                        db.TransactionFailedError)):
        run()
    assert root.get(use_cache=False).n == 1


CHANGED_IN_VAIN = [
    ('a put', lambda: put(99)),
    ('a put of an old one', lambda: move_blind(3, 99)),
    ('a delete', lambda: delete(3)),
    ('many', lambda: [delete(1, 2), put(99), move_blind(3, 99)]),
]


def move_blind(old, new):
    Row(id=f'{old:04d}', n=new, half=new // 2, tags=['t9']).put()


@pytest.mark.parametrize('label, change', CHANGED_IN_VAIN,
                         ids=[c[0] for c in CHANGED_IN_VAIN])
def test_no_query_finds_what_a_lost_transaction_wrote(rows, label, change):
    before = [e.key for e in ndb.Query(kind='Row').fetch()]
    lose(change)
    assert ns(Row.query().order(Row.n)) == [*range(25)]
    assert Row.query(Row.n == 99).get() is None
    assert Row.query(Row.tags == 't9').get() is None
    assert Row.query(Row.half == 1).count() == 2
    assert ns(Row.query(Row.n == 3)) == [3]
    assert [e.key for e in ndb.Query(kind='Row').fetch()] == before


def test_what_is_written_after_a_lost_transaction_is_found(rows):
    lose(lambda: put(99))
    put(99)
    move(3, 98)
    assert ns(Row.query(Row.n > 90).order(Row.n)) == [98, 99]


def test_a_query_inside_does_not_see_the_writes_inside(rows):
    parent = ndb.Key('Parent', 1)

    @ndb.transactional
    def run():
        Row(parent=parent, id='x', n=1000).put()
        return Row.query(ancestor=parent).count()
    assert run() == 0
    assert Row.query(ancestor=parent).count() == 1
    assert Row.query(Row.n == 1000).count() == 1
