"""Queries through ndb: what is found, in which order, how it is paged."""
import datetime

import pytest

from google.appengine.api import datastore_errors, namespace_manager
from google.appengine.datastore import datastore_query
from google.appengine.ext import ndb
from google.appengine.ext.ndb import metadata


class Note(ndb.Model):
    n = ndb.IntegerProperty()
    tag = ndb.StringProperty()
    tags = ndb.StringProperty(repeated=True)
    when = ndb.DateTimeProperty()
    secret = ndb.StringProperty(indexed=False)


BOOK = ('Book', 'one')


def write_notes():
    """Thirty notes, every third in the book, n from 0 up."""
    day = datetime.datetime(2026, 1, 1)
    ndb.put_multi([
        Note(id=f'{i:02d}', n=i, tag='even' if i % 2 == 0 else 'odd',
             tags=[f't{i % 3}', f't{i % 5}'], secret='s',
             when=day + datetime.timedelta(days=i),
             parent=ndb.Key(*BOOK) if i % 3 == 0 else None)
        for i in range(30)])


@pytest.fixture
def notes(api):
    """The notes in a namespace that the reading tests share."""
    namespace_manager.set_namespace('notes')
    if Note.query().count() != 30:
        write_notes()


@pytest.fixture
def own_notes(api):
    """The notes, for a test that changes them."""
    write_notes()


def every(key=lambda i: i, test=lambda i: True):
    return sorted(filter(test, range(30)), key=key)


def in_book():
    return ndb.Key(*BOOK)


# label, query, the n of what it finds in order.
QUERIES = [
    ('a kind is in key order: roots of Book before Note',
     lambda: Note.query(),
     every(test=lambda i: i % 3 == 0) + every(test=lambda i: i % 3)),
    ('equality', lambda: Note.query(Note.n == 7), [7]),
    ('equality without a match', lambda: Note.query(Note.n == 70), []),
    ('less', lambda: Note.query(Note.n < 3), [0, 1, 2]),
    ('less or equal', lambda: Note.query(Note.n <= 3), [0, 1, 2, 3]),
    ('greater', lambda: Note.query(Note.n > 27), [28, 29]),
    ('greater or equal', lambda: Note.query(Note.n >= 27), [27, 28, 29]),
    ('a range', lambda: Note.query(Note.n > 3, Note.n < 7), [4, 5, 6]),
    ('an empty range', lambda: Note.query(Note.n > 7, Note.n < 3), []),
    ('ascending', lambda: Note.query().order(Note.n), every()),
    ('descending', lambda: Note.query().order(-Note.n),
     every(key=lambda i: -i)),
    ('a descending range',
     lambda: Note.query(Note.n >= 5, Note.n < 8).order(-Note.n), [7, 6, 5]),
    ('a time', lambda: Note.query(
        Note.when >= datetime.datetime(2026, 1, 29)).order(Note.when),
     [28, 29]),
    ('one value of a list', lambda: Note.query(Note.tags == 't4'),
     sorted([4, 9, 14, 19, 24, 29], key=lambda i: (i % 3 != 0, i))),
    ('two values of a list',
     lambda: Note.query(Note.tags == 't4', Note.tags == 't0'),
     sorted([i for i in range(30) if {f't{i % 3}', f't{i % 5}'} >=
             {'t4', 't0'}], key=lambda i: (i % 3 != 0, i))),
    ('two equalities', lambda: Note.query(Note.tag == 'odd', Note.n == 9),
     [9]),
    ('an ancestor', lambda: Note.query(ancestor=in_book()),
     every(test=lambda i: i % 3 == 0)),
    ('an ancestor and equality',
     lambda: Note.query(Note.tag == 'odd', ancestor=in_book()),
     [3, 9, 15, 21, 27]),
    ('an ancestor, newest first',
     lambda: Note.query(ancestor=in_book()).order(-Note.when),
     [27, 24, 21, 18, 15, 12, 9, 6, 3, 0]),
    ('an ancestor and a range',
     lambda: Note.query(Note.n > 20, ancestor=in_book()), [21, 24, 27]),
    ('an absent ancestor', lambda: Note.query(ancestor=ndb.Key('Book', 'x')),
     []),
    ('equality and order',
     lambda: Note.query(Note.tag == 'odd').order(-Note.n),
     [i for i in range(29, -1, -1) if i % 2]),
    ('equality and a range',
     lambda: Note.query(Note.tag == 'odd', Note.n > 24), [25, 27, 29]),
    ('a key', lambda: Note.query(Note.key == ndb.Key('Note', '07')), [7]),
    ('keys from one on', lambda: Note.query(Note.key > ndb.Key('Note', '26')),
     [28, 29]),
    ('any of two values', lambda: Note.query(Note.n.IN([3, 40, 1])), [3, 1]),
    ('not equal', lambda: Note.query(Note.n != 5, Note.n < 7),
     [0, 1, 2, 3, 4, 6]),
    ('a property that is not indexed',
     lambda: Note.query(ndb.GenericProperty('secret') == 's'), []),
    ('another kind', lambda: ndb.Query(kind='Nothing'), []),
]
IDS = [q[0] for q in QUERIES]


@pytest.mark.parametrize('label, query, want', QUERIES, ids=IDS)
def test_finds(notes, label, query, want):
    assert [e.n for e in query().fetch()] == want


SPLIT = ('any of two values', 'not equal')     # the SDK asks several times


@pytest.mark.parametrize('label, query, want', QUERIES, ids=IDS)
def test_keys_only_finds_the_same_keys(notes, label, query, want):
    if label in SPLIT:
        pytest.skip('the SDK needs the values to merge its queries')
    keys = query().fetch(keys_only=True)
    assert [k.get().n for k in keys] == want


@pytest.mark.parametrize('label, query, want', QUERIES, ids=IDS)
def test_count_agrees(notes, label, query, want):
    assert query().count() == len(want)
    assert query().count(limit=3) == min(3, len(want))


@pytest.mark.parametrize('offset, limit', [
    (0, 1), (0, 7), (5, 5), (28, 5), (30, 5), (100, 1), (3, None)])
@pytest.mark.parametrize('label, query, want', QUERIES, ids=IDS)
def test_offset_and_limit_cut_the_same_list(notes, label, query, want,
                                            offset, limit):
    got = [e.n for e in query().fetch(limit, offset=offset)]
    end = None if limit is None else offset + limit
    assert got == want[offset:end]


@pytest.mark.parametrize('label, query, want', QUERIES, ids=IDS)
def test_pages_by_cursor_are_the_whole(notes, label, query, want):
    if label in SPLIT:
        pytest.skip('no cursors over merged queries')
    got, cursor, more = [], None, True
    while more:
        page, cursor, more = query().fetch_page(4, start_cursor=cursor)
        got += [e.n for e in page]
        assert len(page) == 4 or not more
        if cursor:
            cursor = datastore_query.Cursor(urlsafe=cursor.urlsafe())
    assert got == want


@pytest.mark.parametrize('batch', [1, 7, 100])
def test_small_batches_go_on_with_next(notes, batch):
    found = Note.query().order(Note.n).iter(batch_size=batch)
    assert [e.n for e in found] == every()


def test_an_end_cursor_stops(notes):
    query = Note.query().order(Note.n)
    _, end, _ = query.fetch_page(10)
    assert [e.n for e in query.fetch(end_cursor=end)] == list(range(10))


def test_a_cursor_goes_on_after_what_was_deleted_and_added(own_notes):
    query = Note.query().order(Note.n)
    page, cursor, _ = query.fetch_page(10)
    page[-1].key.delete()
    Note(n=5).put()
    Note(n=10).put()
    assert [e.n for e in query.fetch(3, start_cursor=cursor)] == [10, 10, 11]


NEED_INDEX = [
    ('two orders', lambda: Note.query().order(Note.n, Note.tag)),
    ('a range and another order',
     lambda: Note.query(Note.n > 1).order(Note.n, Note.when)),
    ('an ancestor and an order nobody indexed',
     lambda: Note.query(ancestor=in_book()).order(Note.tag)),
    ('a descending key', lambda: Note.query().order(-Note.key)),
]


@pytest.mark.skip_on_reference('the stub is told to need no indexes')
@pytest.mark.parametrize('label, query', NEED_INDEX,
                         ids=[n[0] for n in NEED_INDEX])
def test_a_query_without_its_index_names_it(notes, label, query):
    with pytest.raises(datastore_errors.NeedIndexError) as e:
        query().fetch()
    assert 'kind: Note' in str(e.value)


def test_an_update_moves_the_entity_in_the_index(own_notes):
    note = Note.query(Note.n == 4).get()
    note.n = 400
    note.put()
    assert Note.query(Note.n == 4).get() is None
    assert Note.query(Note.n == 400).get().key == note.key
    note.key.delete()
    assert Note.query(Note.n == 400).get() is None
    assert Note.query().count() == 29


def test_one_namespace_only(own_notes):
    Note(n=1, namespace='elsewhere-q').put()
    assert Note.query().count() == 30
    assert Note.query(namespace='elsewhere-q').count() == 1
    ndb.delete_multi(Note.query(namespace='elsewhere-q').fetch(
        keys_only=True))


def test_a_kindless_query_finds_every_kind(api):
    class Other(ndb.Model):
        pass
    keys = [Note(id='a').put(), Other(id='b').put(),
            Note(id='c', parent=ndb.Key('Other', 'b')).put()]
    found = ndb.Query().fetch(keys_only=True)
    assert found == sorted(keys)
    assert ndb.Query(ancestor=ndb.Key('Other', 'b')).count() == 2


ORDERED = [None, -2**63, -5, 0, 7, 2**63 - 1, False, True, b'', b'\0', b'a',
           b'a\0', b'ab', '\u00e9'.encode(), float('-inf'), -1.5,
           -0.0, 0.0, 1.5, float('inf'), ndb.GeoPt(-1, 2), ndb.GeoPt(1, -2),
           ndb.Key('A', 1), ndb.Key('A', 1, 'B', 1), ndb.Key('A', 'a')]


def plain(value):
    """What can be compared: 0.0 and -0.0, 1 and True are not the same."""
    if isinstance(value, ndb.Key):
        return value.flat()
    if isinstance(value, str):      # the SDK decodes what has no meaning
        value = value.encode()
    return type(value), value, str(value)


def test_values_of_all_types_have_one_order(api):
    class Any(ndb.Expando):
        v = ndb.GenericProperty()
    ndb.put_multi([Any(id=len(ORDERED) - i, v=v)
                   for i, v in enumerate(ORDERED)])
    up = [e.v for e in Any.query().order(Any.v)]
    assert [plain(v) for v in up] == [plain(v) for v in ORDERED]
    down = [e.v for e in Any.query().order(-Any.v)]
    assert [plain(v) for v in down] == [plain(v) for v in reversed(ORDERED)]


def test_a_list_sorts_by_its_smallest_or_largest_value(api):
    class Multi(ndb.Model):
        x = ndb.IntegerProperty(repeated=True)
    ndb.put_multi([Multi(id=i, x=x) for i, x in
                   [('a', [1, 9]), ('b', [3, 4]), ('c', [2]), ('d', [9, 9]),
                    ('e', [])]])
    assert [e.key.id() for e in Multi.query().order(Multi.x)] == list('acbd')
    assert [e.key.id() for e in Multi.query().order(-Multi.x)] == list('adbc')
    assert [e.key.id() for e in Multi.query(Multi.x > 3)] == list('bad')


def test_metadata_kinds_are_queries_too(api):
    class Other(ndb.Model):
        pass
    Note(n=1).put()
    Other().put()
    assert metadata.get_kinds() == ['Note', 'Other']
    assert 'n' in metadata.get_properties_of_kind('Note')
    mine = namespace_manager.get_namespace()
    namespace_manager.set_namespace('')
    assert mine in metadata.get_namespaces()
