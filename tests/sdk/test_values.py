"""Every type of property and every shape of key: stored, found, sorted.

The composite indexes make themselves: this module's emulator has no
index.yaml.
"""
import datetime

import pytest

from google.appengine.api import datastore_errors, users
from google.appengine.datastore import datastore_v3_bytes_pb2 as ds
from google.appengine.datastore import entity_bytes_pb2 as pb
from google.appengine.ext import ndb

from lib import sdk
from lib.emulator import Emulator
from lib.rpc import Client


@pytest.fixture(scope='module')
def emulator():
    with Emulator(project=sdk.PROJECT) as emu:
        yield emu
        assert emu.stop() == 0, emu.output()


def day(n):
    return datetime.datetime(2026, 1, n, 12, 30, 15, 250)


# label, property, values in ascending order.
SORTED = [
    ('integers', ndb.IntegerProperty, [-2**63, -2**53 - 1, -2**53, -1, 0, 1,
                                       2**53, 2**53 + 1, 2**63 - 1]),
    ('floats', ndb.FloatProperty, [float('-inf'), -1e308, -1.0, -5e-324, 0.0,
                                   5e-324, 1.0, 1e308, float('inf')]),
    ('booleans', ndb.BooleanProperty, [False, True]),
    ('strings', ndb.StringProperty, [
        '', '\0', '\0\0', '\1', ' ', 'A', 'a', 'a\0', 'a\0b', 'a\1', 'aa', 'b',
        'z' * 1500, '~', '\x7f', '\u00e9', '\uffee', '\U00010000']),
    ('bytes', lambda: ndb.BlobProperty(indexed=True), [
        b'', b'\0', b'\0\0', b'\0\1', b'\1', b'\1\0', b'\x80', b'\xff',
        b'\xff\0', b'\xff\xff']),
    ('times', ndb.DateTimeProperty, [
        datetime.datetime(1, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59,
                                                      999999),
        datetime.datetime(1970, 1, 1), day(1), day(2),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)]),
    ('dates', ndb.DateProperty, [day(1).date(), day(2).date()]),
    ('times of day', ndb.TimeProperty, [datetime.time(), datetime.time(1),
                                        datetime.time(23, 59, 59, 999999)]),
    ('places', ndb.GeoPtProperty, [
        ndb.GeoPt(-90, 180), ndb.GeoPt(-1, -2), ndb.GeoPt(-1, 2),
        ndb.GeoPt(0, 0), ndb.GeoPt(1, -180), ndb.GeoPt(90, 0)]),
    ('users', ndb.UserProperty, [
        users.User(a, 'gmail.com') for a in ('a@x.org', 'ab@x.org',
                                             'b@x.org')]),
    ('blob keys', ndb.BlobKeyProperty, [ndb.BlobKey('a'), ndb.BlobKey('b')]),
    ('keys', ndb.KeyProperty, lambda: [     # of the app that is connected
        ndb.Key(*path) for path in (
            ('A', 1), ('A', 1, 'B', 1), ('A', 1, 'B', 'x'), ('A', 2),
            ('A', 10), ('A', 2**53 + 1), ('A', 2**63 - 1), ('A', '1'),
            ('A', 'a'), ('A', 'a', 'A', 1), ('A', 'a\0'), ('A', 'a!'),
            ('A', '\u00e9'), ('AA', 1), ('B', 1))]),
]
IDS = [s[0] for s in SORTED]


@pytest.fixture(params=SORTED, ids=IDS)
def shelf(request, api):
    """A class, its values in order, and an entity with each."""
    _, make, values = request.param
    values = values() if callable(values) else values
    model = type('Holder', (ndb.Model,), {'p': make()})
    ndb.put_multi([model(id=f'{(i * 7) % len(values):02d}.{i}', p=v)
                   for i, v in enumerate(values)])
    return model, values


def test_values_sort_both_ways(shelf):
    model, values = shelf
    assert [e.p for e in model.query().order(model.p)] == values
    assert [e.p for e in model.query().order(-model.p)] == values[::-1]


def test_every_comparison_finds_its_part(shelf):
    model, values = shelf
    for i, v in enumerate(values):
        for query, want in [(model.p == v, values[i:i + 1]),
                            (model.p < v, values[:i]),
                            (model.p <= v, values[:i + 1]),
                            (model.p > v, values[i + 1:]),
                            (model.p >= v, values[i:])]:
            found = model.query(query).order(model.p).fetch()
            assert [e.p for e in found] == want, (v, query)


def test_any_of_and_not_equal(shelf):
    model, values = shelf
    if isinstance(values[0], ndb.Key):
        pytest.skip('the SDK itself cannot merge ids and names')
    some = values[::2]
    assert [e.p for e in model.query(model.p.IN(some[::-1])).order(
        model.p)] == some
    for v in values[:3]:
        assert [e.p for e in model.query(model.p != v).order(model.p)] == [
            w for w in values if w != v]


def test_a_projection_gives_values_their_types(shelf):
    model, values = shelf
    got = model.query().order(model.p).fetch(projection=[model.p])
    assert [e.p for e in got] == values
    assert [type(e.p) for e in got] == [type(v) for v in values]


def test_a_cursor_stands_at_every_value(shelf):
    model, values = shelf
    for order in (model.p, -model.p):
        query, seen, cursor, more = model.query().order(order), [], None, True
        while more:
            page, cursor, more = query.fetch_page(1, start_cursor=cursor)
            seen += [e.p for e in page]
        assert seen == (values if order is model.p else values[::-1])


# ---- meanings, as they stand on the wire ----

# meaning, value of the property, whether it is indexed.
Property = pb.Property
MEANINGS = [
    ('none', Property.NO_MEANING, b'text', True),
    ('blob', Property.BLOB, b'\xff\0', False),
    ('text', Property.TEXT, 'ü'.encode() * 2000, False),
    ('bytestring', Property.BYTESTRING, b'\xff\0\xfe', True),
    ('category', Property.ATOM_CATEGORY, b'news', True),
    ('link', Property.ATOM_LINK, b'https://x/' + b'y' * 2000, True),
    ('title', Property.ATOM_TITLE, b'title', True),
    ('content', Property.ATOM_CONTENT, b'content', True),
    ('summary', Property.ATOM_SUMMARY, b'summary', True),
    ('author', Property.ATOM_AUTHOR, b'author', True),
    ('when', Property.GD_WHEN, 1700000000000000, True),
    ('email', Property.GD_EMAIL, b'a@example.com', True),
    ('im', Property.GD_IM, b'xmpp me@example.com', True),
    ('phone', Property.GD_PHONENUMBER, b'+1 555', True),
    ('address', Property.GD_POSTALADDRESS, b'1 Road', True),
    ('rating', Property.GD_RATING, 100, True),
    ('blob key', Property.BLOBKEY, b'blob', True),
    ('embedded', Property.ENTITY_PROTO, None, False),
    ('empty list', Property.EMPTY_LIST, b'', False),
]


def put_one(client, meaning, value, indexed):
    entity = pb.EntityProto()
    entity.key.app = f's~{sdk.PROJECT}'
    entity.key.path.element.add(type='Meaning', name=f'{meaning}')
    entity.entity_group.element.add().CopyFrom(entity.key.path.element[0])
    prop = (entity.property if indexed else entity.raw_property).add(
        name='p', multiple=False)
    if meaning:
        prop.meaning = meaning
    if value is None:               # an entity within
        value = inner_entity().SerializePartialToString()
    if isinstance(value, int):
        prop.value.int64Value = value
    else:
        prop.value.stringValue = value
    client.call('datastore_v3', 'Put', ds.PutRequest(entity=[entity]),
                ds.PutResponse)
    return entity


def inner_entity():
    inner = pb.EntityProto()
    inner.key.app = f's~{sdk.PROJECT}'
    inner.key.path.SetInParent()
    inner.entity_group.SetInParent()
    inner.property.add(name='x', multiple=False).value.int64Value = 5
    return inner


def find(client, entity):
    query = ds.Query(app=f's~{sdk.PROJECT}', kind='Meaning')
    indexed = entity.property or entity.raw_property
    prop = query.filter.add(op=ds.Query.Filter.EQUAL).property.add(
        name='p', multiple=False)
    prop.value.CopyFrom(indexed[0].value)
    return [*client.call('datastore_v3', 'RunQuery', query,
                         ds.QueryResult).result]


@pytest.mark.parametrize('label, meaning, value, indexed', MEANINGS,
                         ids=[m[0] for m in MEANINGS])
def test_a_meaning_comes_back_and_says_nothing_of_equality(
        emulator, label, meaning, value, indexed):
    client = Client(emulator.host, emulator.port)
    entity = put_one(client, meaning, value, indexed)
    got = client.call('datastore_v3', 'Get', ds.GetRequest(key=[entity.key]),
                      ds.GetResponse).entity[0].entity
    assert got == entity
    found = find(client, entity)
    assert (entity in found) == indexed
    client.call('datastore_v3', 'Delete', ds.DeleteRequest(key=[entity.key]),
                ds.DeleteResponse)
    assert entity not in find(client, entity)
    client.close()


# ---- lists ----

class Listed(ndb.Model):
    x = ndb.GenericProperty(repeated=True)
    n = ndb.IntegerProperty()


LISTS = {'a': [1, 9], 'b': [3, 4], 'c': [2], 'd': [9, 9], 'e': [],
         'f': [2, 'str'], 'g': list(range(10, 60))}
LIST_QUERIES = [
    ('any value', lambda x: [x == 9], 'ad'),
    ('two values', lambda x: [x == 1, x == 9], 'a'),
    ('no value is null', lambda x: [x == None], ''),    # noqa: E711
    ('one value has to be in the range', lambda x: [x > 3, x < 9], 'b'),
    ('an empty range', lambda x: [x > 5, x < 2], ''),
    ('a value and a range', lambda x: [x == 9, x < 5], 'a'),
    ('another type', lambda x: [x == 'str'], 'f'),
    ('the fiftieth value', lambda x: [x == 59], 'g'),
]


@pytest.mark.parametrize('label, filters, want', LIST_QUERIES,
                         ids=[q[0] for q in LIST_QUERIES])
def test_a_list_is_found_by_its_values(api, label, filters, want):
    ndb.put_multi([Listed(id=k, x=v) for k, v in LISTS.items()])
    found = Listed.query(*filters(Listed.x)).fetch(keys_only=True)
    assert sorted(k.id() for k in found) == [*want]


def test_a_list_changes_and_its_rows_with_it(api):
    e = Listed(x=[1, 2, 3])
    e.put()
    for values in ([3, 4], [4], [], [5] * 20):
        e.x = values
        e.put()
        assert e.key.get().x == values
        for v in (1, 2, 3, 4, 5):
            assert Listed.query(Listed.x == v).count() == (v in values)


def test_a_list_in_a_projection_is_a_row_for_each_value(api):
    Listed(id='a', x=[1, 2, 2], n=7).put()
    Listed(id='b', x=[2], n=8).put()
    rows = Listed.query().order(Listed.x, Listed.n).fetch(
        projection=['x', 'n'])
    assert [(r.key.id(), r.x, r.n) for r in rows] == [
        ('a', [1], 7), ('a', [2], 7), ('b', [2], 8)]
    distinct = Listed.query(projection=['x'], distinct=True).order(Listed.x)
    assert [r.x for r in distinct] == [[1], [2]]


# ---- entities within entities ----

class Address(ndb.Model):
    street = ndb.StringProperty()
    city = ndb.StringProperty()


class Home(Address):
    tags = ndb.StringProperty(repeated=True)


class Inner(ndb.Model):
    at = ndb.StructuredProperty(Address)
    n = ndb.IntegerProperty()


class Outer(ndb.Model):
    home = ndb.StructuredProperty(Home)
    inner = ndb.StructuredProperty(Inner)
    many = ndb.StructuredProperty(Inner, repeated=True)
    blob = ndb.LocalStructuredProperty(Inner, repeated=True)
    packed = ndb.LocalStructuredProperty(Inner, compressed=True)
    kept = ndb.LocalStructuredProperty(Inner, keep_keys=True)


def outer():
    x, y = Address(street='1', city='X'), Address(street='2', city='Y')
    return Outer(home=Home(street='1', city='X', tags=['a', 'b']),
                 inner=Inner(at=x, n=1), many=[Inner(at=y, n=2), Inner(n=3)],
                 blob=[Inner(at=x, n=4), Inner(at=y, n=5)],
                 packed=Inner(at=x, n=6), kept=Inner(id='k', n=7))


def test_entities_within_come_back(api):
    e = outer()
    got = e.put().get(use_cache=False)
    assert got == e
    assert got.kept.key == ndb.Key('Inner', 'k')


WITHIN = [
    ('a field', lambda: Outer.home.city == 'X', 1),
    ('a list of fields', lambda: Outer.home.tags == 'b', 1),
    ('two levels down', lambda: Outer.inner.at.city == 'X', 1),
    ('below a list', lambda: Outer.many.at.city == 'Y', 1),
    ('another value', lambda: Outer.many.at.city == 'X', 0),
    ('a whole structure', lambda: Outer.home == Home(street='1', city='X'),
     1),
    ('a structure that is nowhere whole',
     lambda: Outer.home == Home(street='1', city='Y'), 0),
]


@pytest.mark.parametrize('label, test, want', WITHIN,
                         ids=[w[0] for w in WITHIN])
def test_entities_within_are_found_by_their_fields(api, label, test, want):
    outer().put()
    assert Outer.query(test()).count() == want


# ---- keys ----

class Any(ndb.Expando):
    pass


@pytest.mark.parametrize('label, path', [
    ('a hundred deep', sum((('Any', i + 1) for i in range(100)), ())),
    ('as long as ndb lets a name be', ('Any', 'ü' * 250)),
    ('2^53 and one', ('Any', 2**53 + 1)),
    ('every low byte', ('Any', ''.join(map(chr, range(1, 128))))),
    ('a name like a path', ('Any', '/Any:1/\\')),
    ('a name like an id', ('Any', '9223372036854775808')),
    ('a kind of many bytes', ('Käse\u2028 x', 1)),
    ('a name of four-byte letters', ('Any', '\U0001f600' * 125)),
], ids=lambda v: v if isinstance(v, str) else '')
def test_a_key_is_found_by_get_and_by_queries(api, label, path):
    key = ndb.Key(*path)
    model = type(ndb.Model)(key.kind(), (ndb.Expando,), {})
    model(key=key, n=1).put()
    assert key.get().key == key
    assert model.query(model._key == key).get(keys_only=True) == key
    assert ndb.Query(kind=key.kind(), ancestor=ndb.Key(*path[:2])).get(
        keys_only=True) == key
    assert ndb.Key(urlsafe=key.urlsafe()).get().n == 1


@pytest.mark.skip_on_reference('the stub takes it')
def test_a_key_101_deep_is_refused(api):
    with pytest.raises(datastore_errors.BadRequestError):
        Any(key=ndb.Key(*sum((('Any', i + 1) for i in range(101)), ()))).put()


def test_huge_ids_do_not_meet_those_given_out(api):
    huge = [2**52, 2**53 + 1, 2**62, 2**63 - 1]
    ndb.put_multi([Any(id=i, n=i) for i in huge])
    fresh = ndb.put_multi([Any(n=0) for _ in range(50)])
    assert not {k.id() for k in fresh} & {*huge}
    assert [ndb.Key(Any, i).get().n for i in huge] == huge
    assert all(0 < k.id() < 2**53 for k in fresh)
