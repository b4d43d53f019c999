"""memcache: every call of the SDK, and what keeps apps apart."""
import threading

import pytest

from google.appengine.api import memcache, namespace_manager

from lib import sdk

VALUES = [
    ('text', 'Grüße'), ('bytes', bytes(range(256))), ('an integer', 2**40),
    ('a bool', True), ('a pickle', {'a': [1, (2, None)]}), ('nothing', None),
    ('an empty string', ''), ('a large value', 'x' * 900000),
]


@pytest.mark.parametrize('label, value', VALUES, ids=[v[0] for v in VALUES])
def test_a_value_comes_back_with_its_type(api, label, value):
    assert memcache.set('k', value)
    got = memcache.get('k')
    assert got == value and type(got) is type(value)


KEYS = [
    ('unicode', 'schlüssel'), ('blanks and control characters', 'a b\r\n\0c'),
    ('exactly 250 bytes', 'k' * 250), ('over 250 bytes', 'k' * 400),
    ('bytes of every value', bytes(range(256))), ('an empty-looking one', ' '),
]


@pytest.mark.parametrize('label, key', KEYS, ids=[k[0] for k in KEYS])
def test_any_key_will_do(api, label, key):
    assert memcache.get(key) is None
    assert memcache.set(key, 'v')
    assert memcache.get(key) == 'v'
    assert memcache.delete(key) == memcache.DELETE_SUCCESSFUL
    assert memcache.get(key) is None


def test_add_replace_and_set_each_have_their_condition(api):
    assert not memcache.replace('k', 1)
    assert memcache.add('k', 2)
    assert not memcache.add('k', 3)
    assert memcache.get('k') == 2
    assert memcache.replace('k', 4)
    assert memcache.set('k', 5)
    assert memcache.get('k') == 5


def test_delete_says_what_it_found(api):
    memcache.set('k', 1)
    assert memcache.delete('k') == memcache.DELETE_SUCCESSFUL
    assert memcache.delete('k') == memcache.DELETE_ITEM_MISSING


def test_a_delete_lock_stops_add_but_not_set(api):
    memcache.set('k', 1)
    memcache.delete('k', seconds=60)
    assert not memcache.add('k', 2)
    assert memcache.get('k') is None
    assert memcache.set('k', 3)
    assert memcache.get('k') == 3


def test_many_at_once(api):
    values = {f'k{i}': i for i in range(200)}
    assert memcache.set_multi(values) == []
    assert memcache.get_multi([*values, 'absent']) == values
    assert memcache.add_multi({'k0': 9, 'new': 9}) == ['k0']
    assert sorted(memcache.replace_multi({'k0': 9, 'gone': 9})) == ['gone']
    assert memcache.delete_multi(list(values))
    assert memcache.get_multi(list(values)) == {}


def test_a_prefix_is_the_sdks_own(api):
    memcache.set_multi({'a': 1, 'b': 2}, key_prefix='p:')
    assert memcache.get('p:a') == 1
    assert memcache.get_multi(['a', 'b'], key_prefix='p:') == {'a': 1, 'b': 2}


def test_compare_and_set_sees_every_change(api):
    client = memcache.Client()
    client.set('k', 1)
    assert client.gets('k') == 1
    memcache.set('k', 2)
    assert not client.cas('k', 3)
    assert client.gets('k') == 2
    assert client.cas('k', 3)
    assert memcache.get('k') == 3


def test_compare_and_set_of_what_is_gone_fails(api):
    client = memcache.Client()
    client.set('k', 1)
    client.gets('k')
    memcache.delete('k')
    assert not client.cas('k', 2)
    assert memcache.get('k') is None


def test_compare_and_set_of_several(api):
    client = memcache.Client()
    client.set_multi({'a': 1, 'b': 2})
    client.get_multi(['a', 'b'], for_cas=True)
    memcache.set('b', 20)
    assert client.cas_multi({'a': 10, 'b': 30}) == ['b']
    assert memcache.get_multi(['a', 'b']) == {'a': 10, 'b': 20}


INCREMENTS = [
    ('of an integer', 5, lambda: memcache.incr('k'), 6),
    ('by more', 5, lambda: memcache.incr('k', 10), 15),
    ('of a number as text', '41', lambda: memcache.incr('k'), 42),
    ('down', 5, lambda: memcache.decr('k', 2), 3),
    ('down stops at zero', 5, lambda: memcache.decr('k', 9), 0),
    ('up wraps at 2^64', 2**64 - 1, lambda: memcache.incr('k', 2), 1),
    ('of what is absent', None, lambda: memcache.incr('k'), None),
    ('from an initial value', None,
     lambda: memcache.incr('k', 2, initial_value=10), 12),
    ('down from an initial value', None,
     lambda: memcache.decr('k', 3, initial_value=10), 7),
    ('an initial value is for the absent only', 1,
     lambda: memcache.incr('k', initial_value=100), 2),
]


@pytest.mark.parametrize('label, before, call, want', INCREMENTS,
                         ids=[i[0] for i in INCREMENTS])
def test_increment(api, label, before, call, want):
    if before is not None:
        memcache.set('k', before)
    assert call() == want
    got = memcache.get('k')
    assert (got if got is None else int(got)) == want


def test_increment_of_text_is_an_error_and_changes_nothing(api):
    memcache.set('k', 'word')
    assert memcache.incr('k') is None
    assert memcache.get('k') == 'word'


def test_offset_multi_counts_each(api):
    memcache.set_multi({'a': 1, 'b': 5})
    assert memcache.offset_multi({'a': 2, 'b': -3, 'c': 7},
                                 initial_value=10) == {
        'a': 3, 'b': 2, 'c': 17}
    assert memcache.offset_multi({'none': 1}) == {'none': None}


def test_no_increment_is_lost_from_an_initial_value(api):
    def work():
        sdk.use_ticket()
        for _ in range(25):
            memcache.incr('k', initial_value=100, namespace='contended')
    threads = [threading.Thread(target=work) for _ in range(8)]
    memcache.delete('k', namespace='contended')
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert memcache.get('k', namespace='contended') == 300
    memcache.delete('k', namespace='contended')


def test_namespaces_do_not_see_each_other(api):
    memcache.set('k', 'mine')
    memcache.set('k', 'theirs', namespace='other')
    assert memcache.get('k') == 'mine'
    assert memcache.get('k', namespace='other') == 'theirs'
    memcache.delete('k', namespace='other')
    assert memcache.get('k') == 'mine'
    here = namespace_manager.get_namespace()
    assert memcache.get('k', namespace=here) == 'mine'


def test_time_ends_an_entry(api):
    memcache.set('far', 1, time=3600)
    assert memcache.get('far') == 1
    memcache.set('absolute', 1, time=978307200)     # in 2001
    assert memcache.get('absolute') is None


def test_peek_shows_times(api):
    memcache.set('k', 'v', time=3600)
    item = memcache.peek('k')
    assert item.get_value() == 'v'
    assert memcache.peek('absent') is None


def test_statistics_count_hits_and_misses(api):
    memcache.flush_all()
    memcache.set('k', 'four')
    before = memcache.get_stats()
    memcache.get('k')
    memcache.get('absent')
    after = memcache.get_stats()
    assert after['hits'] - before['hits'] == 1
    assert after['misses'] - before['misses'] == 1
    assert after['items'] >= 1 and after['bytes'] > 0
    assert set(after) >= {'hits', 'misses', 'byte_hits', 'items', 'bytes',
                          'oldest_item_age'}


def test_flush_takes_every_namespace_of_the_app(api):
    memcache.set('k', 1)
    memcache.set('k', 1, namespace='other')
    assert memcache.flush_all()
    assert memcache.get('k') is None
    assert memcache.get('k', namespace='other') is None
    assert memcache.set('k', 2) and memcache.get('k') == 2


def test_a_value_over_the_limit_is_refused(api):
    with pytest.raises(ValueError):
        memcache.set('k', bytes(1000001))
    assert memcache.get('k') is None
