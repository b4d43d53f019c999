"""The older db API on the same wire."""
import datetime

import pytest

from google.appengine.api import datastore, datastore_errors, datastore_types
from google.appengine.api import users
from google.appengine.ext import db
from google.appengine.runtime import apiproxy_errors


class Person(db.Model):
    name = db.StringProperty()
    age = db.IntegerProperty()
    tags = db.StringListProperty()
    bio = db.TextProperty()
    boss = db.SelfReferenceProperty()


VALUES = [
    ('text', db.Text('ü' * 3000)),
    ('blob', db.Blob(bytes(range(256)))),
    ('byte string', db.ByteString(b'\0\xff')),
    ('category', db.Category('news')),
    ('link', db.Link('https://example.com/?a=b')),
    ('email', db.Email('a@example.com')),
    ('place', db.GeoPt(-12.5, 130.25)),
    ('handle', db.IM('xmpp', 'me@example.com')),
    ('phone number', db.PhoneNumber('+1 555 0100')),
    ('postal address', db.PostalAddress('1 Road\nTown')),
    ('rating', db.Rating(97)),
    ('blob key', datastore_types.BlobKey('blob')),
    ('user', users.User('a@example.com', 'gmail.com')),
    ('time', datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ('mixed list', [1, 'a', None, 2.5, True, db.Category('x')]),
]


@pytest.mark.parametrize('label, value', VALUES, ids=[v[0] for v in VALUES])
def test_a_value_keeps_its_type(api, label, value):
    entity = datastore.Entity('Thing')
    entity['p'] = value
    got = datastore.Get(datastore.Put(entity))['p']
    assert got == value
    assert type(got) is type(value)


def test_a_model_comes_back_with_its_references(api):
    boss = Person(name='Boss', age=50)
    boss.put()
    key = Person(name='Jo', age=20, tags=['a', 'b'], bio='x' * 9000,
                 boss=boss).put()
    got = db.get(key)
    assert (got.name, got.age, got.tags) == ('Jo', 20, ['a', 'b'])
    assert got.bio == 'x' * 9000
    assert got.boss.name == 'Boss'
    assert [p.name for p in boss.person_set] == ['Jo']


def test_get_of_several_keys_has_none_for_the_absent(api):
    keys = db.put([Person(key_name=n, name=n) for n in 'ab'])
    keys.insert(0, db.Key.from_path('Person', 'absent'))
    assert [p and p.name for p in db.get(keys)] == [None, 'a', 'b']


def test_delete_of_an_absent_entity_is_no_error(api):
    db.delete(db.Key.from_path('Person', 'absent'))


def test_gql_reads_what_put_wrote(api):
    db.put([Person(name=n, age=a) for n, a in
            [('x', 1), ('y', 2), ('z', 3)]])
    found = db.GqlQuery('SELECT * FROM Person WHERE age >= :1 ORDER BY age '
                        'DESC LIMIT 5', 2)
    assert [p.name for p in found] == ['z', 'y']
    keys = db.GqlQuery('SELECT __key__ FROM Person WHERE name = :n', n='x')
    assert len(list(keys)) == 1


def test_a_cursor_as_text_resumes(api):
    db.put([Person(key_name='%02d' % i, age=i) for i in range(10)])
    query = Person.all().order('age')
    assert [p.age for p in query.fetch(4)] == [0, 1, 2, 3]
    cursor = query.cursor()
    assert isinstance(cursor, (str, bytes))
    rest = Person.all().order('age').with_cursor(cursor)
    assert [p.age for p in rest] == list(range(4, 10))


def test_count_is_exact_past_a_thousand(api):
    for start in range(0, 1500, 500):
        db.put([Person(key_name=str(i), age=i, parent=db.Key.from_path(
            'Root', 1)) for i in range(start, start + 500)])
    assert Person.all().count(limit=5000) == 1500
    assert Person.all().filter('age >=', 100).count(limit=5000) == 1400
    assert Person.all(keys_only=True).count(limit=700) == 700


def test_allocated_ranges_and_reserved_keys(api):
    model = db.Key.from_path('Person', 1)
    first, last = db.allocate_ids(model, 10)
    assert last - first == 9
    state = db.allocate_id_range(model, last + 1, last + 10)
    assert state in (db.KEY_RANGE_EMPTY, db.KEY_RANGE_CONTENTION)
    again, _ = db.allocate_ids(model, 1)
    assert again > last + 10
    Person(key=db.Key.from_path('Person', again), name='taken').put()
    assert db.allocate_id_range(model, again, again) == db.KEY_RANGE_COLLISION


def test_reserved_keys_are_not_given_to_others(api):
    key = db.Key.from_path('Person', 424242)
    datastore.AllocateIds(db.Key.from_path('Person', 1), max=None, size=5)
    datastore._GetConnection()._reserve_keys([key])
    assert 424242 not in [Person().put().id() for _ in range(30)]


ERRORS = [
    ('an incomplete key in get', datastore_errors.BadKeyError,
     lambda: datastore.Get(datastore.Entity('K').key())),
    ('a key of another app', datastore_errors.BadRequestError,
     lambda: datastore.Get(db.Key.from_path('K', 1, _app='s~another'))),
    ('an entity over the limit',
     (apiproxy_errors.RequestTooLargeError, datastore_errors.BadRequestError),
     lambda: Person(bio='x' * 1100000).put()),
    ('an entity that is not there', datastore_errors.EntityNotFoundError,
     lambda: datastore.Get(db.Key.from_path('K', 'absent'))),
]


@pytest.mark.parametrize('label, error, call', ERRORS,
                         ids=[e[0] for e in ERRORS])
def test_an_error_has_its_class(api, label, error, call):
    with pytest.raises(error):
        call()
