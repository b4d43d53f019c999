"""ndb: every kind of property and every shape of key, there and back."""
import datetime

import pytest

from google.appengine.api import datastore_errors, namespace_manager, users
from google.appengine.ext import ndb


class Everything(ndb.Expando):
    """The class is open, so that each case brings its own property."""


class Point(ndb.Model):
    x = ndb.IntegerProperty()
    y = ndb.IntegerProperty()


WHEN = datetime.datetime(2026, 2, 3, 4, 5, 6, 789012)

PROPERTIES = [
    ('the smallest integer', ndb.IntegerProperty(), -2**63),
    ('the largest integer', ndb.IntegerProperty(), 2**63 - 1),
    ('true', ndb.BooleanProperty(), True),
    ('false', ndb.BooleanProperty(), False),
    ('a float', ndb.FloatProperty(), -1.5e300),
    ('infinity', ndb.FloatProperty(), float('inf')),
    ('an empty string', ndb.StringProperty(), ''),
    ('unicode', ndb.StringProperty(), 'Grüße 日本 \U0001f600'),
    ('a string with a NUL', ndb.StringProperty(), 'a\0b'),
    ('1500 bytes', ndb.StringProperty(), 'x' * 1500),
    ('a text', ndb.TextProperty(), 'long\n' * 5000),
    ('a compressed text', ndb.TextProperty(compressed=True), 'long' * 5000),
    ('bytes of every value', ndb.BlobProperty(), bytes(range(256))),
    ('indexed bytes', ndb.BlobProperty(indexed=True), b'\0\xff\0\x01'),
    ('JSON', ndb.JsonProperty(), {'a': [1, 2, {'b': None}]}),
    ('a pickle', ndb.PickleProperty(), {1: (2, 3)}),
    ('a date and time', ndb.DateTimeProperty(), WHEN),
    ('a time before 1970', ndb.DateTimeProperty(),
     datetime.datetime(1901, 1, 1)),
    ('a date', ndb.DateProperty(), WHEN.date()),
    ('a time', ndb.TimeProperty(), WHEN.time()),
    ('a place', ndb.GeoPtProperty(), ndb.GeoPt(52.37, -4.88)),
    ('a user', ndb.UserProperty(), users.User('a@example.com', 'gmail.com')),
    ('a blob key', ndb.BlobKeyProperty(), ndb.BlobKey('the-blob')),
    ('nothing', ndb.StringProperty(), None),
    ('a list', ndb.IntegerProperty(repeated=True), [3, 1, 2, 1]),
    ('an empty list', ndb.IntegerProperty(repeated=True), []),
    ('a list of several types', ndb.GenericProperty(repeated=True),
     [1, b'a', True, 2.5]),
    ('a structure', ndb.StructuredProperty(Point), Point(x=1, y=2)),
    ('structures', ndb.StructuredProperty(Point, repeated=True),
     [Point(x=1, y=2), Point(x=3, y=None)]),
    ('a structure as one value', ndb.LocalStructuredProperty(Point),
     Point(x=5, y=6)),
]


@pytest.mark.parametrize('label, prop, value', PROPERTIES,
                         ids=[p[0] for p in PROPERTIES])
def test_a_property_comes_back_as_it_was(api, label, prop, value):
    model = type('Holder', (ndb.Model,), {'p': prop})
    key = model(p=value).put()
    assert key.get().p == value


def test_a_key_property_keeps_namespace_and_path(api):
    class Holder(ndb.Model):
        p = ndb.KeyProperty()
    target = ndb.Key('A', 'ä', 'B', 7, namespace='elsewhere')
    assert Holder(p=target).put().get().p == target


def test_an_expando_keeps_properties_nobody_declared(api):
    e = Everything(a=1, b=b'two')
    e.c = [1.5, True, b'x']
    got = e.put().get()
    assert (got.a, got.b, got.c) == (1, b'two', [1.5, True, b'x'])


KEYS = [
    ('an id', ('K', 1)),
    ('the largest id', ('K', 2**63 - 1)),
    ('a name', ('K', 'name')),
    ('a name of digits', ('K', '17')),
    ('unicode in kind and name', ('Käse', '日本')),
    ('a name with separators', ('K', 'a/b:c\0d')),
    ('a name of 500 bytes', ('K', 'n' * 500)),
    ('a child', ('P', 1, 'K', 'x')),
    ('ten deep', sum((('L%d' % i, i + 1) for i in range(9)), ()) + ('K', 9)),
]


@pytest.mark.parametrize('label, path', KEYS, ids=[k[0] for k in KEYS])
def test_a_key_of_any_shape_finds_its_entity(api, label, path):
    key = ndb.Key(*path)
    model = type(ndb.Model)(key.kind(), (ndb.Model,),
                            {'p': ndb.StringProperty()})
    model(key=key, p=label).put()
    got = key.get()
    assert got.key == key
    assert got.p == label
    assert ndb.Key(urlsafe=key.urlsafe()).get().p == label
    key.delete()
    assert key.get() is None


def test_an_incomplete_key_gets_an_id(api):
    keys = ndb.put_multi([Everything(a=i) for i in range(20)])
    assert len({k.id() for k in keys}) == 20
    assert all(k.id() > 0 for k in keys)
    child = Everything(parent=keys[0]).put()
    assert child.parent() == keys[0] and child.id() > 0


def test_get_multi_answers_in_order_with_gaps(api):
    keys = ndb.put_multi([Everything(id=i, a=i) for i in (3, 1, 2)])
    keys.insert(1, ndb.Key('Everything', 'absent'))
    assert [e and e.a for e in ndb.get_multi(keys)] == [3, None, 1, 2]


def test_put_replaces_the_whole_entity(api):
    key = Everything(id='x', a=1, b=2).put()
    Everything(id='x', c=3).put()
    got = key.get()
    assert got._to_dict() == {'c': 3}


def test_501_roots_go_through_many_connections(api):
    keys = ndb.put_multi([Everything(id=i + 1, a=i) for i in range(501)])
    assert [e.a for e in ndb.get_multi(keys)] == list(range(501))
    ndb.delete_multi(keys)
    assert ndb.get_multi(keys) == [None] * 501


def test_namespaces_do_not_see_each_other(api):
    here = Everything(id='x', a=b'here').put()
    there = ndb.Key('Everything', 'x', namespace='other')
    assert there.get() is None
    Everything(key=there, a=b'there').put()
    assert (here.get().a, there.get().a) == (b'here', b'there')
    assert Everything.query(namespace='other').count() == 1
    there.delete()
    assert here.get().a == b'here'


def test_allocated_ids_are_never_given_again(api):
    first, last = Everything.allocate_ids(size=100)
    assert last - first == 99
    again, _ = Everything.allocate_ids(size=10)
    assert again > last or again + 9 < first
    fresh = [Everything().put().id() for _ in range(20)]
    assert not [i for i in fresh if first <= i <= last]


def test_ids_up_to_a_maximum_are_reserved(api):
    first, _ = Everything.allocate_ids(size=1)
    Everything.allocate_ids(max=first + 1000)
    again, _ = Everything.allocate_ids(size=1)
    assert again > first + 1000


def test_hooks_and_defaults_are_the_sdks_own_business(api):
    class Stamped(ndb.Model):
        made = ndb.DateTimeProperty(auto_now_add=True)
        text = ndb.StringProperty(default='x')
        upper = ndb.ComputedProperty(lambda self: self.text.upper())
    got = Stamped().put().get()
    assert got.text == 'x' and got.upper == 'X' and got.made
    assert Stamped.query(Stamped.upper == 'X').get().key == got.key


def test_memcache_and_context_caches_see_a_put(api):
    context = ndb.get_context()
    context.set_cache_policy(None)
    context.set_memcache_policy(None)
    key = Everything(id='x', a=1).put()
    assert key.get().a == 1
    context.clear_cache()
    assert key.get().a == 1
    Everything(id='x', a=2).put()
    context.clear_cache()
    assert key.get().a == 2
    key.delete()
    context.clear_cache()
    assert key.get() is None


BAD = [
    ('an indexed string over 1500 bytes', lambda: Everything(a='x' * 1501)),
]


@pytest.mark.parametrize('label, make', BAD, ids=[b[0] for b in BAD])
def test_a_bad_entity_is_refused_and_changes_nothing(api, label, make):
    with pytest.raises((datastore_errors.Error, ValueError)):
        make().put()
    assert Everything.query().count() == 0


def test_the_default_namespace_is_a_namespace_like_others(api):
    namespace_manager.set_namespace('')
    key = Everything(id='only-in-default', a=1).put()
    assert key.namespace() == '' and key.get().a == 1
    key.delete()
