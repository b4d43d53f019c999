"""Task queues through Google's SDK: adding, looking, leasing, deleting.

The emulator has nowhere to send tasks, so push tasks stay where the API can
see them; tests/sdk/test_deliveries.py has an app.
"""
import datetime
import itertools
import random
import time

import pytest
from google.appengine.api import taskqueue
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb
from google.appengine.datastore import datastore_v3_bytes_pb2 as ds
from google.appengine.ext import ndb

from lib import rpc, sdk

names = (f'task-{time.time_ns()}-{i}' for i in itertools.count())
Code = pb.TaskQueueServiceError


@pytest.fixture(autouse=True)
def connected(api):
    """An emulator, and empty queues."""
    for name in ('default', 'push', 'pull', 'worn'):
        taskqueue.Queue(name).purge()


@pytest.fixture
def client(api):
    client = rpc.Client(api.host, api.port)
    yield client
    client.close()


def call(client, method, **fields):
    request = getattr(pb, f'TaskQueue{method}Request')(**fields)
    return client.call('taskqueue', method, request,
                       getattr(pb, f'TaskQueue{method}Response'))


def refused(code, client, method, **fields):
    with pytest.raises(rpc.ApplicationError) as error:
        call(client, method, **fields)
    assert error.value.code == code


def request(**fields):
    fields = {'queue_name': b'default', 'task_name': b'', 'eta_usec': 0,
              'url': b'/x', **fields}
    return pb.TaskQueueAddRequest(**fields)


def results(client, *requests):
    answer = call(client, 'BulkAdd', add_request=requests)
    return [r.result for r in answer.taskresult]


def fetch(client, name, queue=b'default'):
    answer = call(client, 'FetchTask', queue_name=queue, task_name=name)
    return answer.task.task[0]


# ---- adding ----

def test_an_unnamed_task_gets_a_name_of_digits(client):
    task = taskqueue.add(url='/work', params={'a': 'é', 'b': [1, 2]})
    assert task.was_enqueued and task.name.isdigit()
    assert 16 <= len(task.name) <= 20
    seen = fetch(client, task.name.encode())
    assert seen.url == b'/work' and seen.method == seen.POST
    assert seen.body == b'a=%C3%A9&b=1&b=2'
    headers = {h.key.lower(): h.value for h in seen.header}
    assert headers[b'content-type'] == b'application/x-www-form-urlencoded'
    assert seen.retry_count == 0 and seen.execution_count == 0
    assert abs(seen.creation_time_usec / 1e6 - time.time()) < 60


def test_results_come_in_the_order_of_requests():
    wanted = [next(names) for _ in range(20)]
    tasks = [taskqueue.Task(url='/x', name=n if i % 3 else None)
             for i, n in enumerate(wanted)]
    taskqueue.Queue().add(tasks)
    for i, (task, name) in enumerate(zip(tasks, wanted)):
        assert task.was_enqueued
        assert (task.name == name) == bool(i % 3)


def test_a_name_is_used_once():
    name = next(names)
    queue = taskqueue.Queue()
    queue.add(taskqueue.Task(url='/x', name=name))
    with pytest.raises(taskqueue.TaskAlreadyExistsError):
        queue.add(taskqueue.Task(url='/x', name=name))
    queue.delete_tasks_by_name(name)
    with pytest.raises(taskqueue.TombstonedTaskError):
        queue.add(taskqueue.Task(url='/x', name=name))
    taskqueue.Queue('push').add(taskqueue.Task(url='/x', name=name))


def test_a_purged_name_is_a_tombstone_too(client):
    name = next(names)
    taskqueue.add(url='/x', name=name)
    chosen = taskqueue.add(url='/x').name
    taskqueue.Queue().purge()
    for used in (name, chosen):
        with pytest.raises(taskqueue.TombstonedTaskError):
            taskqueue.add(url='/x', name=used)
    refused(Code.TOMBSTONED_TASK, client, 'FetchTask', queue_name=b'default',
            task_name=name.encode())


def test_names_that_exist_keep_only_their_own_out(client):
    taken, gone, new = (next(names).encode() for _ in range(3))
    assert results(client, request(task_name=taken),
                   request(task_name=gone)) == [0, 0]
    call(client, 'Delete', queue_name=b'default', task_name=[gone])
    assert results(client, request(task_name=taken), request(task_name=gone),
                   request(task_name=new), request(),
                   request(task_name=new)) == [10, 11, 0, 0, 10]


@pytest.mark.parametrize('bad, code', [
    ({'queue_name': b'nowhere'}, Code.UNKNOWN_QUEUE),
    ({'queue_name': b'no!where'}, Code.INVALID_QUEUE_NAME),
    ({'eta_usec': -1}, Code.INVALID_ETA),
    ({'eta_usec': int((time.time() + 31 * 86400) * 1e6)}, Code.INVALID_ETA),
    ({'body': b'x' * 102400}, Code.TASK_TOO_LARGE),
    ({'task_name': b'a b'}, Code.INVALID_TASK_NAME),
    ({'task_name': b'a' * 501}, Code.INVALID_TASK_NAME),
    ({'url': b'http://elsewhere/'}, Code.INVALID_URL),
    ({'url': b'/x\r\nHost: elsewhere'}, Code.INVALID_URL),
    ({'url': b'/' + b'x' * 2083}, Code.INVALID_URL),
    ({'method': 2, 'header': [{'key': b'A', 'value': b'1\r\nB: 2'}]},
     Code.INVALID_REQUEST),
    ({'header': [{'key': b'A:', 'value': b'1'}]}, Code.INVALID_REQUEST),
    ({'mode': 1}, Code.INVALID_QUEUE_MODE),
    ({'dispatch_deadline_usec': 1}, Code.INVALID_DISPATCH_DEADLINE),
    ({'retry_parameters': {'retry_limit': -1}},
     Code.INVALID_RETRY_PARAMETERS),
    ({'crontimetable': {'schedule': b'every 1 minutes', 'timezone': b'UTC'}},
     Code.PERMISSION_DENIED),
    ({'app_id': b'another'}, Code.PERMISSION_DENIED),
])
def test_a_bad_request_keeps_the_others_out(client, bad, code):
    name = next(names).encode()
    assert results(client, request(task_name=name), request(**bad),
                   request()) == [Code.SKIPPED, code, Code.SKIPPED]
    refused(Code.UNKNOWN_TASK, client, 'FetchTask', queue_name=b'default',
            task_name=name)


def test_what_concerns_the_call_as_a_whole(client):
    refused(Code.UNKNOWN_QUEUE, client, 'BulkAdd',
            add_request=[request(queue_name=b'')])
    refused(Code.INVALID_QUEUE_MODE, client, 'BulkAdd',
            add_request=[request(mode=1)])
    refused(Code.TOO_MANY_TASKS, client, 'BulkAdd',
            add_request=[request()] * 101)
    assert results(client) == []
    refused(Code.UNKNOWN_QUEUE, client, 'Add',
            **{'queue_name': b'nowhere', 'task_name': b'', 'eta_usec': 0})
    answer = call(client, 'Add', queue_name=b'default', task_name=b'',
                  eta_usec=0, url=b'/')
    assert answer.chosen_task_name.isdigit()


def test_the_sdk_names_the_errors():
    with pytest.raises(taskqueue.UnknownQueueError):
        taskqueue.add(url='/x', queue_name='nowhere')
    with pytest.raises(taskqueue.InvalidQueueModeError):
        taskqueue.Queue('pull').add(taskqueue.Task(url='/x'))
    with pytest.raises(taskqueue.InvalidQueueModeError):
        taskqueue.Queue('push').lease_tasks(10, 10)


# ---- looking ----

def test_tasks_are_listed_by_name_and_by_eta(client):
    at = int(time.time() * 1e6) + 3600 * 10 ** 6
    order = [next(names).encode() for _ in range(5)]
    assert results(client, *[
        request(queue_name=b'push', task_name=n, eta_usec=at - i)
        for i, n in enumerate(order)]) == [0] * 5

    def query(**fields):
        answer = call(client, 'QueryTasks', queue_name=b'push', **fields)
        return [t.task_name for t in answer.task]

    assert query(max_rows=10) == sorted(order)
    assert query() == sorted(order)[:1]
    assert query(max_rows=2, start_task_name=sorted(order)[2]) == \
        sorted(order)[2:4]
    assert query(max_rows=10, start_eta_usec=0) == order[::-1]
    assert query(max_rows=10, start_eta_usec=at - 2) == order[2::-1]
    assert query(max_rows=10, start_eta_usec=at - 2,
                 start_task_name=order[2] + b'0') == order[1::-1]


def test_statistics_count_what_waits(client):
    queue = taskqueue.Queue('push')
    first = datetime.datetime.utcnow() + datetime.timedelta(hours=1)
    queue.add([taskqueue.Task(url='/x', eta=first + datetime.timedelta(i))
               for i in range(5)])
    stats = queue.fetch_statistics()
    assert stats.tasks == 5
    assert abs(stats.oldest_eta_usec / 1e6 - first.replace(
        tzinfo=datetime.timezone.utc).timestamp()) < 1
    assert stats.executed_last_minute == 0 and stats.in_flight == 0
    assert stats.enforced_rate == 0.5
    queue.purge()
    stats = queue.fetch_statistics()
    assert stats.tasks == 0 and stats.oldest_eta_usec is None
    answer = call(client, 'FetchQueueStats', queue_name=[b'no', b'push'])
    assert [(s.num_tasks, s.oldest_eta_usec) for s in answer.queuestats] == [
        (0, -1), (0, -1)]


def test_queues_are_those_of_queue_yaml(client):
    queues = {q.queue_name: q for q in
              call(client, 'FetchQueues', max_rows=100).queue}
    assert list(queues) == sorted(queues)
    push = queues[b'push']
    assert (push.bucket_refill_per_second, push.bucket_capacity,
            push.user_specified_rate, push.max_concurrent_requests,
            push.mode, push.paused) == (0.5, 7, '0.5/s', 3, 0, False)
    assert push.retry_parameters.retry_limit == 4
    assert push.retry_parameters.min_backoff_sec == 0.2
    assert push.retry_parameters.max_backoff_sec == 3600
    assert push.retry_parameters.max_doublings == 2
    pull = queues[b'pull']
    assert pull.mode == 1
    assert pull.acl.user_email == [b'reader@example.com']
    assert pull.acl.writer_email == [b'writer@example.com']
    assert queues[b'default'].user_specified_rate == '10/s'


# ---- deleting ----

def test_delete_answers_for_each_name(client):
    name = next(names).encode()
    chosen = taskqueue.add(url='/x').name.encode()
    results(client, request(task_name=name))

    def delete(*which, queue=b'default'):
        return list(call(client, 'Delete', queue_name=queue,
                         task_name=which).result)

    assert delete(name, b'never', chosen, name) == [
        0, Code.UNKNOWN_TASK, 0, Code.TOMBSTONED_TASK]
    assert delete(name, chosen) == [Code.TOMBSTONED_TASK] * 2
    assert delete(b'a', b'b', queue=b'nowhere') == [Code.UNKNOWN_QUEUE] * 2


def test_delete_through_the_sdk():
    queue = taskqueue.Queue()
    tasks = [taskqueue.Task(url='/x') for _ in range(100)]
    queue.add(tasks)
    queue.delete_tasks(tasks)
    assert all(t.was_deleted for t in tasks)
    assert queue.fetch_statistics().tasks == 0


def test_a_task_is_forced_to_run(client):
    name = next(names).encode()
    later = int((time.time() + 3600) * 1e6)
    results(client, request(task_name=name, eta_usec=later))

    def force(which):
        return call(client, 'ForceRun', queue_name=b'default',
                    task_name=which).result

    assert force(name) == 0
    assert fetch(client, name).eta_usec <= time.time() * 1e6
    assert force(b'never') == Code.UNKNOWN_TASK


# ---- queues ----

def test_a_queue_is_defined_paused_and_deleted(client):
    name = next(names).encode()
    call(client, 'UpdateQueue', queue_name=name, bucket_refill_per_second=3,
         bucket_capacity=9, user_specified_rate='3/s')

    def queue():
        return {q.queue_name: q for q in
                call(client, 'FetchQueues', max_rows=1000).queue}.get(name)

    assert queue().bucket_capacity == 9 and not queue().paused
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(), queue_name=name,
         pause=True)
    assert queue().paused
    assert results(client, request(queue_name=name)) == [0]
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(), queue_name=name,
         pause=False)
    assert not queue().paused
    call(client, 'DeleteQueue', app_id=sdk.PROJECT.encode(), queue_name=name)
    assert queue() is None
    assert results(client, request(queue_name=name)) == [
        Code.TOMBSTONED_QUEUE]
    refused(Code.TOMBSTONED_QUEUE, client, 'UpdateQueue', queue_name=name,
            bucket_refill_per_second=3, bucket_capacity=9)
    refused(Code.PERMISSION_DENIED, client, 'PauseQueue', app_id=b'another',
            queue_name=b'default', pause=True)
    refused(Code.UNKNOWN_QUEUE, client, 'PurgeQueue', queue_name=b'nowhere')


@pytest.mark.parametrize('fields, code', [
    ({'queue_name': b'a_b'}, Code.INVALID_QUEUE_NAME),
    ({'queue_name': b'a' * 101}, Code.INVALID_QUEUE_NAME),
    ({'bucket_refill_per_second': -1}, Code.INVALID_QUEUE_RATE),
    ({'bucket_refill_per_second': float('nan')}, Code.INVALID_QUEUE_RATE),
    ({'retry_parameters': {'min_backoff_sec': -1}},
     Code.INVALID_RETRY_PARAMETERS),
])
def test_a_bad_definition_is_refused(client, fields, code):
    refused(code, client, 'UpdateQueue', **{
        'queue_name': b'bad', 'bucket_refill_per_second': 1,
        'bucket_capacity': 1, **fields})


# ---- transactions ----

class Thing(ndb.Model):
    n = ndb.IntegerProperty()


def test_a_task_is_there_exactly_when_the_transaction_committed():
    queue = taskqueue.Queue()

    def work(fail):
        Thing(id='a', n=1).put()
        task = taskqueue.add(url='/x', transactional=True)
        assert task.was_enqueued and task.name.isdigit()
        assert queue.fetch_statistics().tasks == before
        if fail:
            raise RuntimeError('no')

    before = 0
    with pytest.raises(RuntimeError):
        ndb.transaction(lambda: work(True))
    assert queue.fetch_statistics().tasks == 0
    ndb.transaction(lambda: work(False))
    assert queue.fetch_statistics().tasks == 1


def test_a_transaction_of_tasks_alone_commits_them():
    ndb.transaction(lambda: taskqueue.Queue().add(
        [taskqueue.Task(url='/x') for _ in range(5)], transactional=True))
    assert taskqueue.Queue().fetch_statistics().tasks == 5


def test_a_conflict_leaves_no_task():
    key = Thing(id='conflict', n=0).put()
    ran = []

    @ndb.transactional(retries=1)
    def work():
        thing = key.get()
        ran.append(taskqueue.add(url='/x', transactional=True).name)
        if len(ran) == 1:
            other(thing.n + 10)
        thing.n += 1
        thing.put()

    @ndb.non_transactional
    def other(n):
        Thing(id='conflict', n=n).put()

    work()
    assert len(ran) == 2
    assert taskqueue.Queue().fetch_statistics().tasks == 1


def test_five_tasks_fit_a_transaction():
    def work():
        taskqueue.Queue().add([taskqueue.Task(url='/x') for _ in range(4)],
                              transactional=True)
        with pytest.raises(taskqueue.DatastoreError):
            taskqueue.Queue().add([taskqueue.Task(url='/x') for _ in '12'],
                                  transactional=True)

    ndb.transaction(work)
    assert taskqueue.Queue().fetch_statistics().tasks == 4


def test_a_named_task_in_a_transaction_is_refused(client):
    txn = client.call('datastore_v3', 'BeginTransaction',
                      ds.BeginTransactionRequest(app=f's~{sdk.PROJECT}'),
                      ds.Transaction)
    assert results(client, request(task_name=b'named', transaction=txn),
                   request()) == [Code.INVALID_TASK_NAME, Code.SKIPPED]
    txn.handle += 1
    refused(Code.DATASTORE_BAD_REQUEST, client, 'BulkAdd',
            add_request=[request(transaction=txn)])


# ---- pull queues ----

def test_a_task_is_leased_once_and_again_when_the_lease_ends():
    queue = taskqueue.Queue('pull')
    queue.add([taskqueue.Task(payload=f'{i}', method='PULL')
               for i in range(3)])
    leased = queue.lease_tasks(0.9, 2)
    assert [t.payload for t in leased] == [b'0', b'1']
    assert [t.retry_count for t in leased] == [1, 1]
    assert [t.payload for t in queue.lease_tasks(60, 10)] == [b'2']
    assert queue.lease_tasks(60, 10) == []
    queue.delete_tasks(leased[0])
    until = time.time() + 10
    again = []
    while not again and time.time() < until:
        again = queue.lease_tasks(60, 10)
    assert [(t.payload, t.retry_count) for t in again] == [(b'1', 2)]


def test_a_lease_is_extended_and_given_back():
    queue = taskqueue.Queue('pull')
    queue.add(taskqueue.Task(payload='x', method='PULL'))
    [task] = queue.lease_tasks(60, 1)
    before = task.eta_posix
    queue.modify_task_lease(task, 600)
    assert task.eta_posix > before + 500
    assert queue.lease_tasks(60, 1) == []
    queue.modify_task_lease(task, 0)
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        queue.modify_task_lease(task, 60)
    [again] = queue.lease_tasks(60, 1)
    assert again.name == task.name and again.retry_count == 2


def test_lease_by_tag():
    queue = taskqueue.Queue('pull')
    queue.add([taskqueue.Task(payload=f'{tag}{i}', tag=tag, method='PULL')
               for i in range(3) for tag in ('b', 'a')])
    queue.add([taskqueue.Task(payload='-', method='PULL')])
    assert [t.payload for t in queue.lease_tasks_by_tag(60, 2, 'a')] == [
        b'a0', b'a1']
    oldest = queue.lease_tasks_by_tag(60, 10)
    assert {t.tag for t in oldest} == {'b'} and len(oldest) == 3
    assert [t.payload for t in queue.lease_tasks_by_tag(60, 10)] == [b'a2']
    assert [t.payload for t in queue.lease_tasks_by_tag(60, 10)] == [b'-']
    assert queue.lease_tasks_by_tag(60, 10, 'a') == []


def test_a_task_that_was_leased_too_often_goes():
    queue = taskqueue.Queue('worn')
    queue.add(taskqueue.Task(payload='x', method='PULL'))
    [task] = queue.lease_tasks(60, 1)
    queue.modify_task_lease(task, 0)
    assert queue.lease_tasks(60, 1) == []
    assert queue.fetch_statistics().tasks == 0


@pytest.mark.parametrize('fields', [
    {'lease_seconds': -1, 'max_tasks': 1},
    {'lease_seconds': 1, 'max_tasks': 0},
    {'lease_seconds': 604801, 'max_tasks': 1},
    {'lease_seconds': 1, 'max_tasks': 1, 'tag': b'a'},
])
def test_a_bad_lease_is_refused(client, fields):
    refused(Code.INVALID_REQUEST, client, 'QueryAndOwnTasks',
            queue_name=b'pull', **fields)


def test_large_pull_tasks_come_in_answers_that_the_sdk_takes():
    queue = taskqueue.Queue('pull')
    body = b'x' * 1_000_000
    for _ in range(40):
        queue.add(taskqueue.Task(payload=body, method='PULL'))
    first = queue.lease_tasks(600, 1000)
    second = queue.lease_tasks(600, 1000)
    assert len(first) >= 30 and len(first) + len(second) == 40
    assert all(t.payload == body for t in first + second)


def test_requests_with_flipped_bytes_do_no_harm(client):
    rng = random.Random(5)
    whole = pb.TaskQueueBulkAddRequest(add_request=[
        request(queue_name=b'push', body=b'b', method=2, tag=b't',
                header=[{'key': b'K', 'value': b'v'}],
                retry_parameters={'retry_limit': 3, 'min_backoff_sec': .5}),
        request(queue_name=b'pull', mode=1, tag=b't', body=b'b'),
    ]).SerializeToString()
    for _ in range(1000):
        bad = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        client.envelope('taskqueue', 'BulkAdd', bytes(bad))
    for name in (b'push', b'pull'):
        call(client, 'QueryTasks', queue_name=name, max_rows=1000)
        call(client, 'QueryTasks', queue_name=name, max_rows=1000,
             start_eta_usec=0)
    call(client, 'QueryAndOwnTasks', queue_name=b'pull', lease_seconds=60,
         max_tasks=1000, group_by_tag=True)


# ---- over restarts ----

def test_everything_outlives_a_kill(tmp_path):
    from lib.emulator import Emulator
    with Emulator(project=sdk.PROJECT, data=str(tmp_path / 'data')) as emu:
        sdk.connect(emu.host, emu.port)
        name, gone = next(names), next(names)
        chosen = taskqueue.add(url='/kept', payload=b'body').name
        later = taskqueue.add(url='/x', countdown=3600).name
        taskqueue.add(url='/x', name=name)
        taskqueue.add(url='/x', name=gone)
        taskqueue.Queue().delete_tasks_by_name(gone)
        emu.kill9()
        emu.restart()
        sdk.connect(emu.host, emu.port)
        client = rpc.Client(emu.host, emu.port)
        assert taskqueue.Queue().fetch_statistics().tasks == 3
        assert fetch(client, chosen.encode()).url == b'/kept'
        assert fetch(client, chosen.encode()).body == b'body'
        assert fetch(client, later.encode()).eta_usec > \
            (time.time() + 3000) * 1e6
        with pytest.raises(taskqueue.TaskAlreadyExistsError):
            taskqueue.add(url='/x', name=name)
        with pytest.raises(taskqueue.TombstonedTaskError):
            taskqueue.add(url='/x', name=gone)
        client.close()
