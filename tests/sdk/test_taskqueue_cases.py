"""What applications do with task queues through Google's SDK, case by case:
names, bulk adds, payloads, times, options, pull queues, transactions,
deferred, and the error of each mistake.

The themes are those of Google's own compatibility kit.  Nothing is sent here:
tests/sdk/test_deliveries.py has an app.
"""
import datetime
import itertools
import pickle
import time

import pytest
from google.appengine.api import taskqueue
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb
from google.appengine.ext import deferred, ndb

from lib import rpc
from lib.emulator import REFERENCE

pytestmark = pytest.mark.skipif(
    REFERENCE, reason='lib/reference.py serves no task queues')
names = (f'case-{time.time_ns()}-{i}' for i in itertools.count())
LATER = 3600                            # seconds; nobody waits for it
DAY = 86400


@pytest.fixture(autouse=True)
def connected(api):
    for name in ('default', 'push', 'pull', 'worn'):
        taskqueue.Queue(name).purge()


@pytest.fixture
def fetch(api):
    """name -> the task as the server has it."""
    client = rpc.Client(api.host, api.port)

    def get(name, queue='default'):
        request = pb.TaskQueueFetchTaskRequest(
            queue_name=queue.encode(), task_name=name.encode())
        return client.call('taskqueue', 'FetchTask', request,
                           pb.TaskQueueFetchTaskResponse).task.task[0]

    yield get
    client.close()


def headers(task):
    return {h.key.decode().lower(): h.value.decode() for h in task.header}


def waiting(name='default'):
    return taskqueue.Queue(name).fetch_statistics().tasks


def pull_task(**more):
    return taskqueue.Task(method='PULL', **{'payload': b'x', **more})


# ---- names ----

@pytest.mark.parametrize('name', ['a', 'A-Z_09', 'x' * 500, '0', '-', '_'])
def test_names_that_are_allowed(name, fetch):
    # A name is used once: what the tests before used stays a tombstone.
    name = (next(names) + name)[-500:]
    assert taskqueue.add(url='/x', name=name, countdown=LATER).name == name
    assert fetch(name).task_name == name.encode()


@pytest.mark.parametrize('name', ['a b', 'a.b', 'é', 'a/b', 'x' * 501, 'a\n'])
def test_names_that_are_not(name):
    with pytest.raises(taskqueue.InvalidTaskNameError):
        taskqueue.add(url='/x', name=name)
    assert waiting() == 0


@pytest.mark.parametrize('name', ['a_b', 'a b', '', 'x' * 101])
def test_names_of_queues(name):
    with pytest.raises(taskqueue.InvalidQueueNameError):
        taskqueue.Queue(name)


def test_a_name_twice_in_a_call():
    name = next(names)
    with pytest.raises(taskqueue.DuplicateTaskNameError):
        taskqueue.Queue().add([taskqueue.Task(url='/x', name=name),
                               taskqueue.Task(url='/y', name=name)])
    assert waiting() == 0


def test_a_task_is_added_once():
    task = taskqueue.Task(url='/x')
    taskqueue.Queue().add(task)
    with pytest.raises(taskqueue.BadTaskStateError):
        taskqueue.Queue().add(task)
    taskqueue.Queue().delete_tasks(task)
    with pytest.raises(taskqueue.BadTaskStateError):
        taskqueue.Queue().delete_tasks(task)


def test_an_existing_name_keeps_the_others_in():
    taken, new = next(names), next(names)
    taskqueue.add(url='/x', name=taken)
    tasks = [taskqueue.Task(url='/x', name=n) for n in (taken, new)]
    with pytest.raises(taskqueue.TaskAlreadyExistsError):
        taskqueue.Queue().add(tasks)
    assert [t.was_enqueued for t in tasks] == [False, True]
    assert waiting() == 2


# ---- bulk ----

def test_a_hundred_in_a_call_and_no_more():
    tasks = [taskqueue.Task(url=f'/{i}') for i in range(101)]
    with pytest.raises(taskqueue.TooManyTasksError):
        taskqueue.Queue().add(tasks)
    taskqueue.Queue().add(tasks[:100])
    assert len({t.name for t in tasks[:100]}) == 100
    assert waiting() == 100


def test_none_at_all():
    assert taskqueue.Queue().add([]) == []


def test_calls_that_run_at_once():
    queue = taskqueue.Queue()
    rpcs = [queue.add_async(taskqueue.Task(url='/x')) for _ in range(20)]
    added = [r.get_result() for r in rpcs]
    assert all(t.was_enqueued for t in added)
    rpcs = [queue.delete_tasks_async(t) for t in added[:10]]
    assert all(r.get_result().was_deleted for r in rpcs)
    assert queue.fetch_statistics_async().get_result().tasks == 10


# ---- payloads ----

@pytest.mark.parametrize('payload, body, kind', [
    (b'', b'', None), (b'\x00\xff' * 3, b'\x00\xff' * 3, None),
    ('é', 'é'.encode(), 'text/plain; charset=utf-8'),
    (b'x' * 100000, b'x' * 100000, None),
])
def test_payloads(payload, body, kind, fetch):
    task = taskqueue.add(url='/x', payload=payload, countdown=LATER)
    seen = fetch(task.name)
    assert seen.body == body
    assert headers(seen).get('content-type') in (
        kind, kind or 'application/octet-stream')


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'DELETE'])
def test_params_go_into_the_url(method, fetch):
    task = taskqueue.add(url='/x', method=method, countdown=LATER,
                         params={'q': ['1 2', 'é']})
    assert fetch(task.name).url == b'/x?q=1+2&q=%C3%A9'


def test_params_of_a_post(fetch):
    task = taskqueue.add(url='/x', params={'q': ['1 2', 'é']},
                         countdown=LATER)
    seen = fetch(task.name)
    assert (seen.url, seen.body) == (b'/x', b'q=1+2&q=%C3%A9')


@pytest.mark.parametrize('fields', [
    {'payload': b'x', 'params': {'a': 'b'}},
    {'url': '/x?a=b', 'params': {'a': 'b'}},
    {'method': 'GET', 'payload': b'x'},
    {'url': 'http://x/'}, {'url': 'x'}, {'url': '/x#y'},
    {'method': 'OPTIONS'},
    {'countdown': 1, 'eta': datetime.datetime.now()},
    {'countdown': 31 * DAY},
    {'countdown': 'soon'},
    {'unknown': 1},
])
def test_what_is_no_task(fields):
    with pytest.raises((taskqueue.Error, TypeError)):
        taskqueue.add(**{'url': '/x', **fields})
    assert waiting() == 0


def test_too_large():
    with pytest.raises(taskqueue.TaskTooLargeError):
        taskqueue.add(url='/x', payload=b'x' * 102401)
    with pytest.raises(taskqueue.TaskTooLargeError):
        taskqueue.Queue('pull').add(pull_task(payload=b'x' * 1048577))
    assert waiting() == waiting('pull') == 0


# ---- when ----

@pytest.mark.parametrize('countdown', [0.5, 60, LATER, 30 * DAY - 60])
def test_countdown(countdown, fetch):
    before = time.time()
    task = taskqueue.add(url='/x', countdown=countdown)
    eta = fetch(task.name).eta_usec / 1e6
    assert before + countdown - 0.001 <= eta <= time.time() + countdown
    assert abs(task.eta_posix - eta) < 0.001


def test_eta_in_a_zone_and_without(fetch):
    zone = datetime.timezone(datetime.timedelta(hours=5))
    at = datetime.datetime.now(zone).replace(microsecond=7) + \
        datetime.timedelta(hours=2)
    utc = at.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    for eta in at, utc:
        task = taskqueue.add(url='/x', eta=eta)
        assert fetch(task.name).eta_usec == round(at.timestamp() * 1e6)


def test_an_eta_that_has_passed(fetch):
    eta = datetime.datetime.utcnow() - datetime.timedelta(days=400)
    task = taskqueue.add(url='/x', eta=eta)
    assert fetch(task.name).eta_usec < time.time() * 1e6


# ---- options ----

def test_retry_options_travel(fetch):
    options = taskqueue.TaskRetryOptions(
        task_retry_limit=7, task_age_limit=8, min_backoff_seconds=0.5,
        max_backoff_seconds=9, max_doublings=3)
    task = taskqueue.add(url='/x', retry_options=options, countdown=LATER)
    seen = fetch(task.name).retry_parameters
    assert (seen.retry_limit, seen.age_limit_sec, seen.min_backoff_sec,
            seen.max_backoff_sec, seen.max_doublings) == (7, 8, 0.5, 9, 3)


@pytest.mark.parametrize('options', [
    {'task_retry_limit': -1}, {'task_age_limit': -1},
    {'min_backoff_seconds': -1}, {'max_backoff_seconds': -1},
    {'max_doublings': -1},
    {'min_backoff_seconds': 3, 'max_backoff_seconds': 2},
])
def test_bad_retry_options(options):
    with pytest.raises(taskqueue.InvalidTaskRetryOptionsError):
        taskqueue.TaskRetryOptions(**options)


def test_targets(fetch, monkeypatch):
    monkeypatch.setenv('DEFAULT_VERSION_HOSTNAME', 'app.example')
    task = taskqueue.add(url='/x', target='v1.backend', countdown=LATER)
    assert headers(fetch(task.name))['host'] == 'v1.backend.app.example'
    task = taskqueue.add(url='/x', countdown=LATER, headers={'Host': 'h.x'})
    assert headers(fetch(task.name))['host'] == 'h.x'
    with pytest.raises(taskqueue.InvalidTaskError):
        taskqueue.Task(url='/x', target='v1', headers={'Host': 'h.x'})


def test_headers_travel(fetch):
    task = taskqueue.add(url='/x', countdown=LATER,
                         headers={'X-A': 'é'.encode().decode('latin-1'),
                                  'x-b': '', 'Content-Type': 'a/b'})
    seen = headers(fetch(task.name))
    assert seen['content-type'] == 'a/b' and seen['x-b'] == ''


# ---- looking and clearing ----

def test_statistics_of_several_queues():
    taskqueue.add(url='/x', queue_name='push', countdown=LATER)
    stats = taskqueue.QueueStatistics.fetch(['default', 'push'])
    assert [(s.queue.name, s.tasks) for s in stats] == [
        ('default', 0), ('push', 1)]
    assert stats[0].oldest_eta_usec is None


def test_a_purge_of_one_queue():
    for name in ('default', 'push'):
        taskqueue.Queue(name).add([taskqueue.Task(url='/x', countdown=LATER)
                                   for _ in range(50)])
    taskqueue.Queue('push').purge()
    assert (waiting(), waiting('push')) == (50, 0)
    taskqueue.add(url='/x', queue_name='push', countdown=LATER)
    assert waiting('push') == 1
    with pytest.raises(taskqueue.UnknownQueueError):
        taskqueue.Queue('nowhere').purge()


def test_deleting_what_is_not_there():
    queue = taskqueue.Queue()
    gone = taskqueue.add(url='/x')
    queue.delete_tasks_by_name(gone.name)
    tasks = queue.delete_tasks_by_name([gone.name, next(names)])
    assert not any(t.was_deleted for t in tasks)
    with pytest.raises(taskqueue.UnknownQueueError):
        taskqueue.Queue('nowhere').delete_tasks_by_name('x')


# ---- pull queues ----

@pytest.fixture
def pull():
    return taskqueue.Queue('pull')


def test_leases_come_by_eta_and_not_before(pull):
    now = datetime.datetime.utcnow()
    pull.add([pull_task(payload=str(s), eta=now + datetime.timedelta(0, s))
              for s in (LATER, -10, -30, -20)])
    leased = pull.lease_tasks(100, 10)
    assert [t.payload for t in leased] == [b'-30', b'-20', b'-10']
    assert pull.lease_tasks(100, 10) == []


@pytest.mark.parametrize('seconds, n, error', [
    (-1, 1, taskqueue.InvalidLeaseTimeError),
    (7 * DAY + 1, 1, taskqueue.InvalidLeaseTimeError),
    ('x', 1, TypeError),
    (1, 0, taskqueue.InvalidMaxTasksError),
    (1, 1001, taskqueue.InvalidMaxTasksError),
    (1, 'x', TypeError),
])
def test_leases_that_are_none(pull, seconds, n, error):
    with pytest.raises(error):
        pull.lease_tasks(seconds, n)


def test_a_thousand_in_a_lease(pull):
    for _ in range(11):
        pull.add([pull_task() for _ in range(100)])
    leased = pull.lease_tasks(600, 1000)
    assert len({t.name for t in leased}) == 1000
    assert len(pull.lease_tasks(600, 1000)) == 100
    pull.delete_tasks(leased)
    assert waiting('pull') == 100


def test_tags(pull):
    pull.add([pull_task(tag=t, payload=t) for t in ('a', 'b', 'a', 'é', 'b')])
    pull.add(pull_task())
    assert [t.tag for t in pull.lease_tasks_by_tag(60, 10, 'a')] == ['a'] * 2
    assert pull.lease_tasks_by_tag(60, 10, 'a') == []
    assert pull.lease_tasks_by_tag(60, 10, 'none') == []
    assert len(pull.lease_tasks_by_tag(60, 10, 'é')) == 1
    assert {t.tag for t in pull.lease_tasks(60, 10)} == {'b', None}
    with pytest.raises(taskqueue.InvalidTagError):
        pull_task(tag='x' * 501)
    with pytest.raises(taskqueue.InvalidTaskError):
        taskqueue.Task(url='/x', tag='a')


def test_without_a_tag_the_first_ones_is_taken(pull):
    now = datetime.datetime.utcnow()
    pull.add([pull_task(tag=t, eta=now - datetime.timedelta(0, s))
              for t, s in (('a', 10), ('b', 20), ('a', 30), ('b', 5))])
    assert [t.tag for t in pull.lease_tasks_by_tag(60, 10)] == ['a', 'a']
    assert [t.tag for t in pull.lease_tasks_by_tag(60, 10)] == ['b', 'b']


def test_a_lease_is_the_one_who_holds_its(pull):
    pull.add(pull_task())
    [task] = pull.lease_tasks(60, 1)
    [other] = [taskqueue.Task(method='PULL', name=task.name, payload=b'')]
    before = task.eta_posix
    pull.modify_task_lease(task, 600)
    assert task.eta_posix > before + 500
    other._Task__queue_name, other._Task__enqueued = 'pull', True
    other._Task__eta_posix = before
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        pull.modify_task_lease(other, 1)
    pull.modify_task_lease(task, 0)
    [again] = pull.lease_tasks(60, 1)
    assert again.retry_count == task.retry_count + 1


def test_a_lease_that_ended_is_lost(pull):
    pull.add(pull_task())
    [task] = pull.lease_tasks(0, 1)
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        pull.modify_task_lease(task, 60)
    pull.delete_tasks(task)
    assert task.was_deleted and waiting('pull') == 0


def test_a_purged_lease(pull):
    pull.add(pull_task())
    [task] = pull.lease_tasks(600, 1)
    pull.purge()
    assert pull.lease_tasks(1, 1) == []
    with pytest.raises(taskqueue.Error):
        pull.modify_task_lease(task, 60)


def test_large_pull_tasks(pull):
    body = bytes(range(256)) * 4000
    pull.add(pull_task(payload=body))
    [task] = pull.lease_tasks(60, 1)
    assert task.payload == body


def test_push_and_pull_do_not_mix(pull):
    with pytest.raises(taskqueue.InvalidQueueModeError):
        taskqueue.Queue().add(pull_task())
    with pytest.raises(taskqueue.InvalidTaskError):
        pull_task(url='/x')
    with pytest.raises(taskqueue.InvalidQueueModeError):
        taskqueue.Queue().lease_tasks_by_tag(1, 1)


# ---- transactions ----

class Case(ndb.Model):
    n = ndb.IntegerProperty()


def test_outside_of_a_transaction_nothing_is_transactional():
    with pytest.raises(taskqueue.BadTransactionStateError):
        taskqueue.add(url='/x', transactional=True)


def test_a_name_in_a_transaction():
    def work():
        taskqueue.add(url='/x', name=next(names), transactional=True)

    with pytest.raises(taskqueue.InvalidTaskNameError):
        ndb.transaction(work)


def test_several_groups_and_queues_in_a_transaction(pull):
    def work():
        ndb.put_multi([Case(id=i, n=i) for i in (1, 2, 3)])
        taskqueue.add(url='/x', countdown=LATER, transactional=True)
        taskqueue.add(url='/x', queue_name='push', transactional=True)
        pull.add(pull_task(tag='t'), transactional=True)
        taskqueue.add(url='/x', countdown=LATER)    # at once, whatever comes

    ndb.transaction(work, xg=True)
    assert (waiting(), waiting('push'), waiting('pull')) == (2, 1, 1)
    assert [t.tag for t in pull.lease_tasks(60, 9)] == ['t']


def test_a_rollback_keeps_what_was_not_transactional():
    def work():
        taskqueue.add(url='/x', transactional=True)
        taskqueue.add(url='/x')
        raise ndb.Rollback

    ndb.transaction(work)
    assert waiting() == 1


def test_a_mistake_in_a_transaction_leaves_it_whole():
    def work():
        Case(id='m', n=1).put()
        with pytest.raises(taskqueue.UnknownQueueError):
            taskqueue.add(url='/x', queue_name='nowhere', transactional=True)
        taskqueue.add(url='/x', transactional=True)

    ndb.transaction(work)
    assert Case.get_by_id('m').n == 1 and waiting() == 1


# ---- deferred ----

def work_later(*args, **kwargs):
    return args, kwargs


def test_a_deferred_call_is_a_task(fetch):
    name = next(names)
    task = deferred.defer(work_later, 1, a='é', _name=name, _countdown=LATER,
                          _queue='push', _headers={'X-A': 'b'})
    seen = fetch(name, 'push')
    assert task.name == name and seen.url == b'/_ah/queue/deferred'
    function, args, kwargs = pickle.loads(seen.body)[:3]
    assert headers(seen)['content-type'] == 'application/octet-stream'
    assert headers(seen)['x-a'] == 'b'
    assert args[-1:] == (1,) or args == (1,)
    assert kwargs == {'a': 'é'}
    with pytest.raises(taskqueue.TaskAlreadyExistsError):
        deferred.defer(work_later, _name=name, _queue='push')


def test_a_deferred_call_in_a_transaction():
    def work(fail):
        Case(id='d', n=1).put()
        deferred.defer(work_later, _transactional=True, _countdown=LATER)
        if fail:
            raise ndb.Rollback

    ndb.transaction(lambda: work(True))
    assert waiting() == 0
    ndb.transaction(lambda: work(False))
    assert waiting() == 1


def test_a_deferred_call_to_another_place(fetch, monkeypatch):
    monkeypatch.setenv('DEFAULT_VERSION_HOSTNAME', 'app.example')
    task = deferred.defer(work_later, _url='/mine', _target='v2',
                          _countdown=LATER)
    seen = fetch(task.name)
    assert seen.url == b'/mine'
    assert headers(seen)['host'] == 'v2.app.example'
