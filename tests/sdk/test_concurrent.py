"""Many threads through the SDK at once: what the TSan run looks at.

Puts, gets, queries, transactions and memcache calls run side by side over
shared and own keys; afterwards the sums must be right.
"""
import random
import threading

from google.appengine.api import datastore_errors, memcache
from google.appengine.api import namespace_manager
from google.appengine.ext import ndb

from lib import sdk

THREADS = 12
STEPS = 25


class Item(ndb.Model):
    owner = ndb.IntegerProperty()
    n = ndb.IntegerProperty()


class Total(ndb.Model):
    n = ndb.IntegerProperty(default=0)


def put_and_get(random, me, i, done):
    key = Item(id=f'{me}.{i}', owner=me, n=i).put()
    assert key.get().n == i
    done['items'] += 1


def query(random, me, i, done):
    found = Item.query(Item.owner == me).fetch()
    assert len(found) == done['items']
    assert all(e.owner == me for e in found)


def page(random, me, i, done):
    count, cursor, more = 0, None, True
    while more and count < 100:
        rows, cursor, more = Item.query().order(Item.n).fetch_page(
            7, start_cursor=cursor)
        count += len(rows)


@ndb.transactional(xg=True, retries=10)
def add(key, by):
    total = key.get() or Total(key=key)
    total.n += by
    total.put()


def transact(random, me, i, done):
    by = random.randint(1, 9)
    try:
        add(ndb.Key('Total', random.choice('abc')), by)
    except datastore_errors.TransactionFailedError:
        return                      # too many conflicts: nothing was added
    done['added'] += by


def cache(random, me, i, done):
    memcache.set(f'k{me}', i)
    assert memcache.get(f'k{me}') == i
    if memcache.incr('shared', initial_value=0) is not None:
        done['counted'] += 1


STEPS_OF_A_THREAD = [put_and_get, query, page, transact, cache]


def work(me, namespace, done, failures):
    try:
        sdk.use_ticket()
        namespace_manager.set_namespace(namespace)
        context = ndb.tasklets.make_default_context()
        context.set_cache_policy(False)
        context.set_memcache_policy(False)
        ndb.tasklets.set_context(context)
        rng = random.Random(me)
        for i in range(STEPS):
            rng.choice(STEPS_OF_A_THREAD)(rng, me, i, done)
    except BaseException as e:      # shown by the test below
        failures.append((me, e))


def test_many_threads_at_once(api):
    namespace = namespace_manager.get_namespace()
    memcache.delete('shared')
    failures = []
    done = [{'items': 0, 'added': 0, 'counted': 0} for _ in range(THREADS)]
    threads = [threading.Thread(target=work,
                                args=(i, namespace, done[i], failures))
               for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    namespace_manager.set_namespace(namespace)
    assert Item.query().count() == sum(d['items'] for d in done)
    assert sum(t.n for t in Total.query()) == sum(d['added'] for d in done)
    assert memcache.get('shared') == sum(d['counted'] for d in done)
