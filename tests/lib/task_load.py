"""Producers, workers and an app for task queues, which write down what they
see: the histories of lib/task_history.py.

    python -m lib.task_load producer --port P --seed S --seconds N OUT
    python -m lib.task_load puller --port P --seed S OUT
    python -m lib.task_load app --listen P OUT

A task's body says who it is and how its runs are to be answered: "w0.1.17
500,cut,200" fails, is cut off, and succeeds.  Lines are appended to OUT whole,
so that a kill -9 of the app loses none.  What a producer does follows from
the seed; pullers work until SIGTERM.
"""
import argparse
import http.client
import http.server
import json
import os
import random
import signal
import sys
import threading
import time
import traceback

from google.appengine.api import api_base_pb2
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb
from google.appengine.datastore import datastore_v3_bytes_pb2 as ds

from lib.rpc import ApplicationError, Client, RpcError
from lib.task_history import Queue
from lib.txn_load import entity, key

PROJECT = 'checker'
QUEUES = {
    'fast': Queue(rate=300, bucket=50, concurrent=100),
    'slow': Queue(rate=15, bucket=4, concurrent=50),
    'narrow': Queue(rate=200, bucket=100, concurrent=3),
    'busy': Queue(rate=50, bucket=1, concurrent=10),
}
for queue in QUEUES.values():
    queue.min_backoff, queue.max_backoff, queue.max_doublings = 0.05, 0.4, 2
PULL = 'pulled'
# Tasks a second that a producer adds to a queue at most, and the pause between
# two of its steps: what is added must be done soon after.
SHARE = {'slow': 1.2, 'busy': 2, 'narrow': 12}
PAUSE = 0.1
PLANS = ['200'] * 8 + ['204', '500,200', '404,500,200', 'cut,200', 'half,200',
                       '302,201', 'slow', '500,slow', '500,cut,429,200']
BUSY_PLANS = PLANS + ['503,200']
ROOT = 'Done'
CONNECT_S = 60
CUT = (OSError, http.client.HTTPException, RpcError)
Code = pb.TaskQueueServiceError


def now():
    return time.time_ns() // 1000


class Log:
    """Whole lines, each in one write."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, kind, **fields):
        os.write(self.fd, json.dumps({'e': kind, **fields}).encode() + b'\n')


def read_log(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


# ---- calls ----

class Caller:
    """A connection that is made again when the server is."""

    def __init__(self, port):
        self.port, self.client = port, None

    def call(self, service, method, request, response):
        """Raises one of CUT when nobody knows whether it was done."""
        if self.client is None:
            self.connect()
        try:
            return self.client.call(service, method, request, response)
        except CUT:
            self.client.close()
            self.client = None
            raise

    def connect(self):
        """Until the server listens; a socket has no event for it."""
        give_up = time.monotonic() + CONNECT_S
        while True:
            try:
                self.client = Client('127.0.0.1', self.port)
                self.client.connect()
                return
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.01)

    def tasks(self, method, **fields):
        return self.call('taskqueue', method,
                         getattr(pb, f'TaskQueue{method}Request')(**fields),
                         getattr(pb, f'TaskQueue{method}Response'))


def setup(port):
    caller = Caller(port)
    for name, q in QUEUES.items():
        caller.tasks('UpdateQueue', queue_name=name.encode(),
                     bucket_refill_per_second=q.rate,
                     bucket_capacity=q.bucket,
                     user_specified_rate=f'{q.rate}/s',
                     max_concurrent_requests=q.concurrent,
                     retry_parameters={'min_backoff_sec': q.min_backoff,
                                       'max_backoff_sec': q.max_backoff,
                                       'max_doublings': q.max_doublings})
    caller.tasks('UpdateQueue', queue_name=PULL.encode(), mode=1,
                 bucket_refill_per_second=1, bucket_capacity=1)


def waiting(port):
    """Queue -> its tasks, where there are any; None while nobody answers."""
    caller = Caller(port)
    try:
        answer = caller.tasks('FetchQueueStats', queue_name=[
            q.encode() for q in [*QUEUES, PULL]])
    except CUT:
        return None
    return {q: s.num_tasks for q, s in zip([*QUEUES, PULL],
                                           answer.queuestats) if s.num_tasks}


def committed(port, ids):
    """Those of `ids`, of transactions, that wrote their entity."""
    caller = Caller(port)
    found = set()
    for at in range(0, len(ids), 100):
        some = ids[at:at + 100]
        answer = caller.call('datastore_v3', 'Get', ds.GetRequest(
            key=[key(ROOT, i) for i in some]), ds.GetResponse)
        found |= {i for i, e in zip(some, answer.entity)
                  if e.HasField('entity')}
    return found


# ---- producers ----

class Producer:
    def __init__(self, port, seed, worker, thread, log):
        self.caller = Caller(port)
        self.dice = random.Random(f'{seed}.{worker}.{thread}')
        self.prefix = f'w{worker}.{thread}'
        self.txns = (worker * 100 + thread + 1) * 1000000
        self.log, self.count = log, 0
        self.added = dict.fromkeys(QUEUES, 0)
        self.names = []                 # that were used

    def run(self, seconds):
        self.began = time.monotonic()
        # More than the bucket holds: the rate has something to hold back.
        self.bulk([self.make('slow') for _ in range(6)])
        steps = [self.add_one, self.add_many, self.add_named, self.add_later,
                 self.add_limited, self.add_pull, self.in_transaction,
                 self.add_again, self.delete_later]
        weights = [3, 3, 3, 3, 1, 2, 3, 1, 1]
        while time.monotonic() < self.began + seconds:
            self.dice.choices(steps, weights)[0]()
            time.sleep(self.dice.uniform(0, PAUSE))

    # A task: what is sent, and what is written down of it.

    def make(self, queue=None, name='', eta=0, plan=None, limit=None):
        self.count += 1
        id = f'{self.prefix}.{self.count}'
        queue = queue or self.choose_queue()
        plan = plan or self.dice.choice(
            BUSY_PLANS if queue == 'busy' else PLANS)
        request = pb.TaskQueueAddRequest(
            queue_name=queue.encode(), task_name=name.encode(), eta_usec=eta,
            url=b'/work', body=f'{id} {plan}'.encode())
        if limit is not None:
            request.retry_parameters.retry_limit = limit
            request.retry_parameters.min_backoff_sec = 0.05
            request.retry_parameters.max_backoff_sec = 0.4
            request.retry_parameters.max_doublings = 2
        if queue == PULL:
            request.mode = 1
        return request, {'id': id, 'queue': queue, 'name': name, 'eta': eta,
                         'named': bool(name), 'limit': limit, 'txn': None}

    def choose_queue(self):
        queue = self.dice.choice([*QUEUES])
        elapsed = time.monotonic() - self.began
        if self.added[queue] >= SHARE.get(queue, 10**9) * (elapsed + 1):
            queue = 'fast'
        self.added[queue] += 1
        return queue

    def soon(self):
        return now() + self.dice.randrange(100000, 1500000)

    def bulk(self, made):
        """Add them; their results, or None when nobody knows."""
        t0 = now()
        try:
            answer = self.caller.tasks('BulkAdd',
                                       add_request=[r for r, _ in made])
            results = answer.taskresult
        except CUT:
            results = None
        t1 = now()
        for i, (_, note) in enumerate(made):
            how = 'unknown'
            if results:
                code = results[i].result
                known = code in (Code.TASK_ALREADY_EXISTS,
                                 Code.TOMBSTONED_TASK) and note.get('resent')
                how = 'ok' if code == 0 or known else 'refused'
                note['name'] = (note['name'] or
                                results[i].chosen_task_name.decode())
            self.log.add('add', how=how, t0=t0, t1=t1, **note)
        return results

    # What a producer does.

    def add_one(self):
        self.bulk([self.make()])

    def add_many(self):
        self.bulk([self.make() for _ in range(self.dice.randint(2, 8))])

    def add_later(self):
        self.bulk([self.make(eta=self.soon())
                   for _ in range(self.dice.randint(1, 4))])

    def add_pull(self):
        self.bulk([self.make(PULL) for _ in range(self.dice.randint(1, 4))])

    def add_limited(self):
        limit = self.dice.randrange(4)
        plan = self.dice.choice(['500', 'cut', '500,200', 'half'])
        self.bulk([self.make('fast', plan=plan, limit=limit)])

    def add_named(self):
        """Until it is known to be there; a name makes that safe."""
        name = f'n-{self.prefix.replace(".", "-")}-{self.count}'
        request, note = self.make(
            name=name, eta=self.soon() if self.dice.random() < 0.4 else 0)
        while self.bulk([(request, note)]) is None:
            note['resent'] = True
        self.names.append((request, note['id']))

    def add_again(self):
        if not self.names:
            return
        request, id = self.dice.choice(self.names)
        try:
            answer = self.caller.tasks('BulkAdd', add_request=[request])
        except CUT:
            return
        self.log.add('again', id=id, t=now(), name=request.task_name.decode(),
                     result=answer.taskresult[0].result)

    def delete_later(self):
        """Long before it is due."""
        name = f'd-{self.prefix.replace(".", "-")}-{self.count}'
        made = self.make('fast', name=name, eta=now() + 2500000)
        if self.bulk([made]) is None:
            return
        t0 = now()
        try:
            answer = self.caller.tasks('Delete', queue_name=b'fast',
                                       task_name=[name.encode()])
            done = answer.result[0] == 0
        except CUT:
            done = False
        self.log.add('delete', id=made[1]['id'], name=name, queue='fast',
                     t0=t0, t1=now() if done else None, eta=made[1]['eta'])

    def in_transaction(self):
        self.txns += 1
        made = []
        try:
            handle = self.caller.call(
                'datastore_v3', 'BeginTransaction', ds.BeginTransactionRequest(
                    app=f's~{PROJECT}'), ds.Transaction)
            put = ds.PutRequest(entity=[entity((ROOT, self.txns), n=1)])
            put.transaction.CopyFrom(handle)
            self.caller.call('datastore_v3', 'Put', put, ds.PutResponse)
            for _ in range(self.dice.randint(1, 2)):
                some = [self.make(eta=self.dice.choice([0, 0, self.soon()]))
                        for _ in range(self.dice.randint(1, 2))]
                made += some
                for request, _ in some:
                    request.transaction.CopyFrom(handle)
                self.caller.tasks('BulkAdd', add_request=[r for r, _ in some])
            if self.dice.random() < 0.2:
                self.caller.call('datastore_v3', 'Rollback', handle,
                                 api_base_pb2.VoidProto)
            else:
                self.caller.call('datastore_v3', 'Commit', handle,
                                 ds.CommitResponse)
        except (*CUT, ApplicationError):
            pass                        # its entity will tell
        for _, note in made:
            self.log.add('add', how='txn', t0=now(), t1=now(),
                         **{**note, 'txn': self.txns})


# ---- workers of the pull queue ----

class Puller(Producer):
    def run(self, over):
        while not over.is_set():
            if not self.step():
                time.sleep(0.02)

    def step(self):
        t0 = now()
        seconds = self.dice.choice([0.3, 1, 5])
        try:
            answer = self.caller.tasks(
                'QueryAndOwnTasks', queue_name=PULL.encode(),
                lease_seconds=seconds, max_tasks=self.dice.randint(1, 5))
        except CUT:
            return False
        tasks = [[t.task_name.decode(), t.body.decode().split()[0],
                  t.eta_usec, t.retry_count] for t in answer.task]
        self.log.add('lease', t0=t0, t1=now(), tasks=tasks)
        for name, id, eta, _ in tasks:
            chance = self.dice.random()
            if chance < 0.8:
                self.delete(name, id)
            elif chance < 0.9:
                self.give_back(name, eta)
        return bool(tasks)

    def delete(self, name, id):
        t0 = now()
        # Whatever is told: it may be gone, and may be leased no more.
        self.log.add('release', name=name, t0=t0)
        try:
            answer = self.caller.tasks('Delete', queue_name=PULL.encode(),
                                       task_name=[name.encode()])
            done = answer.result[0] in (0, Code.TOMBSTONED_TASK)
        except CUT:
            done = False
        self.log.add('delete', id=id, name=name, queue=PULL, t0=t0,
                     t1=now() if done else None, eta=0)

    def give_back(self, name, eta):
        self.log.add('release', name=name, t0=now())
        try:
            self.caller.tasks('ModifyTaskLease', queue_name=PULL.encode(),
                              task_name=name.encode(), eta_usec=eta,
                              lease_seconds=0)
        except (*CUT, ApplicationError):
            pass


# ---- the app ----

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length'])).decode()
        t = now()
        id, plan = body.split()
        retries = self.number('TaskRetryCount')
        seq = self.note_start(id, retries, t)
        plan = plan.split(',')
        self.answer(seq, plan[min(retries, len(plan) - 1)])

    def header(self, name):
        return self.headers[f'X-AppEngine-{name}']

    def number(self, name):
        value = self.header(name)
        return None if value is None else int(value)

    def note_start(self, id, retries, t):
        server = self.server
        with server.lock:
            server.seq += 1
            seq = server.seq
        seconds, micros = self.header('TaskETA').split('.')
        server.log.add(
            'start', app=os.getpid(), seq=seq, id=id, t=t, retries=retries,
            name=self.header('TaskName'), queue=self.header('QueueName'),
            executions=self.number('TaskExecutionCount'),
            previous=self.number('TaskPreviousResponse'),
            eta=int(seconds) * 10**6 + int(micros),
            attempt=self.headers['X-Cloud-Trace-Context'].split('/')[0])
        return seq

    def answer(self, seq, what):
        if what == 'slow':
            time.sleep(0.15)
            what = '200'
        self.server.log.add('end', app=os.getpid(), seq=seq, t=now(),
                            answer=what)
        if what == 'half':
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Le')
        if what in ('half', 'cut'):
            self.close_connection = True
            return
        try:
            self.wfile.write(b'HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n' %
                             what.encode())
        except OSError:
            self.close_connection = True
            return
        self.server.log.add('sent', app=os.getpid(), seq=seq)

    def log_message(self, *args):
        pass


class App(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    seq = 0
    lock = threading.Lock()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


# ---- processes ----

def thread_of(work, *args):
    def run():
        try:
            work(*args)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def main():
    p = argparse.ArgumentParser()
    p.add_argument('role', choices=['producer', 'puller', 'app'])
    p.add_argument('--port', type=int)
    p.add_argument('--listen', type=int)
    p.add_argument('--seed', default='0')
    p.add_argument('--worker', type=int, default=0)
    p.add_argument('--threads', type=int, default=3)
    p.add_argument('--seconds', type=float)
    p.add_argument('out')
    args = p.parse_args()
    log = Log(args.out)
    if args.role == 'app':
        app = App(('127.0.0.1', args.listen), Handler)
        app.log = log
        print('listening', flush=True)
        app.serve_forever()
    elif args.role == 'producer':
        for t in [thread_of(Producer(args.port, args.seed, args.worker, i,
                                     log).run, args.seconds)
                  for i in range(args.threads)]:
            t.join()
    else:
        over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: over.set())
        threads = [thread_of(Puller(args.port, args.seed, args.worker, i,
                                    log).run, over)
                   for i in range(args.threads)]
        for t in threads:
            t.join()


if __name__ == '__main__':
    main()
