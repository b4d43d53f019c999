"""Did every task run as task queues promise?  A check of a recorded history.

    anomalies = check(History(events, queues, kills, empty))

The events are those of lib/task_load.py: what producers asked and were told,
what the app was sent and answered, what workers leased.  Times are
microseconds of the one clock of this machine.  A delivery's attempt id says
which life of the server made it (its first half) and as which one (its
second), so what a kill excuses is known exactly:

* an attempt whose answer the server cannot have written before it was killed
  is made again, with another retry count: a restart counts one for each task
  that may have been started, which no retry limit feels;
* a new life begins with full buckets, and knows nothing of requests that the
  last one left running.

Nothing else is excused.  Anomalies are named, so that a planted fault can be
told by what it does.
"""
import bisect
import collections
from dataclasses import dataclass

from lib import paths

SEC = 10**6
# A token is taken a little before the app notes the request's arrival, and
# how much before varies: this much on a busy machine.
LATE = 0.3 * paths.SLOWNESS
# An outcome is durable this long after its answer.
DURABLE = 1.5 * paths.SLOWNESS
COMMITTED = ('ok', 'txn')


@dataclass
class Anomaly:
    name: str
    text: str

    def __str__(self):
        return f'{self.name}: {self.text}'


@dataclass
class Queue:
    rate: float
    bucket: int
    concurrent: int
    min_backoff: float = 0.1
    max_backoff: float = 3600
    max_doublings: int = 16

    def wait(self, n):
        """Seconds before retry n."""
        e = min(n - 1, self.max_doublings)
        return min(self.min_backoff * 2**e * max(1, n - e), self.max_backoff)


class Run:
    """One request that the app was sent."""

    def __init__(self, e):
        self.id, self.name, self.queue = e['id'], e['name'], e['queue']
        self.retries, self.executions = e['retries'], e['executions']
        self.previous, self.eta = e['previous'], e['eta']
        self.life, self.number = e['attempt'][:16], int(e['attempt'][16:], 16)
        self.start, self.end, self.answer = e['t'], None, None
        self.sent = False       # the answer was written before the app died

    @property
    def good(self):
        return self.answer is not None and self.answer.startswith('2')

    def __str__(self):
        return (f'{self.id} ({self.queue}/{self.name}) retry {self.retries} '
                f'execution {self.executions} previous {self.previous} '
                f'eta {self.eta} at {self.start} answered {self.answer} '
                f'at {self.end}, life {self.life[:4]} {self.number}')


@dataclass
class History:
    events: list
    queues: dict            # name -> Queue, of the push queues
    kills: list             # ('server', from when, until when it died at the
                            # latest) or ('app', from, until it was up again)
    empty: int = None       # from when on there was surely no task

    def __post_init__(self):
        self.runs, self.adds = [], {}
        self.deletes, self.leases, self.releases = [], [], []
        open_runs = {}
        for e in self.events:
            kind = e['e']
            if kind == 'start':
                run = open_runs[e['app'], e['seq']] = Run(e)
                self.runs.append(run)
            elif kind == 'end':
                run = open_runs[e['app'], e['seq']]
                run.end, run.answer = e['t'], e['answer']
            elif kind == 'sent':
                open_runs[e['app'], e['seq']].sent = True
            elif kind == 'add':
                self.adds.setdefault(e['id'], []).append(e)
            elif kind == 'delete':
                self.deletes.append(e)
            elif kind == 'lease':
                self.leases.append(e)
            elif kind == 'release':
                self.releases.append(e)
        self.runs.sort(key=lambda r: r.start)
        self.lives = {}         # life -> when it is first seen
        for run in self.runs:
            self.lives.setdefault(run.life, run.start)
        self.by_id = collections.defaultdict(list)
        for run in self.runs:
            self.by_id[run.id].append(run)
        for runs in self.by_id.values():
            runs.sort(key=self.order)
        self.by_id.default_factory = None
        self.committed = {e['id'] for e in self.events if e['e'] == 'entity'}

    def runs_of(self, id):
        return self.by_id.get(id, [])

    def killed(self, what, since, until):
        return any(k == what and a <= until and b >= since
                   for k, a, b in self.kills)

    def order(self, run):
        """As the server sent them: the app may note them the other way."""
        return self.lives[run.life], run.number

    def restarts(self, since, until):
        """How many a retry count may show."""
        return sum(k == 'server' and a <= until and b >= since
                   for k, a, b in self.kills)

    def death(self, life):
        """When this life of the server was killed, at the earliest."""
        return min((a for k, a, b in self.kills
                    if k == 'server' and b >= self.lives[life]), default=0)


# ---- each task ----

def outcome(h, id):
    """What the producer knows of it: ok, txn, unknown or refused."""
    last = h.adds[id][-1]
    if last['how'] == 'txn':
        return 'txn' if last['txn'] in h.committed else 'refused'
    return last['how']


def exhausted(h, add, runs):
    """Its retry limit ended it, or may have while the app was away."""
    limit = add['limit']
    if limit is None:
        return False
    if sum(not r.good for r in runs) > limit:
        return True
    return any(k == 'app' and until >= add['t0'] for k, _, until in h.kills)


def check_presence(h):
    deleted = {e['id'] for e in h.deletes}      # or maybe
    for id, adds in h.adds.items():
        how, runs, add = outcome(h, id), h.runs_of(id), adds[-1]
        if add['queue'] not in h.queues:
            continue
        if how == 'refused' and runs:
            yield Anomaly('ghost', f'{runs[0]}; added by {add}')
        if how not in COMMITTED or id in deleted:
            continue
        if any(r.good for r in runs) or exhausted(h, add, runs):
            continue
        yield Anomaly('lost', f'{add}; {len(runs)} runs: '
                              f'{"; ".join(map(str, runs))}')
    for id in h.by_id:
        if id not in h.adds:
            yield Anomaly('ghost', f'{h.by_id[id][0]}; nobody added it')


def check_deletes(h):
    """Deleted before it was due: it never runs."""
    for e in h.deletes:
        if e['t1'] and e['t1'] < e['eta']:
            for run in h.runs_of(e['id']):
                yield Anomaly('ran deleted', f'{run}; deleted by {e}')


def check_names(h):
    for id, runs in h.by_id.items():
        names = {r.name for r in runs}
        sends = sum(e['how'] == 'unknown' for e in h.adds.get(id, [])) + 1
        named = any(e['named'] for e in h.adds.get(id, []))
        if len(names) > (1 if named else sends):
            yield Anomaly('two names', f'{id}: {sorted(names)}')
    for e in h.events:
        if e['e'] == 'again' and e['result'] == 0:
            yield Anomaly('name twice', f'{e}')


def check_end(h):
    """After a 2xx that the server can have written, nothing more."""
    for runs in h.by_id.values():
        done = {}
        for run in runs:
            first = done.get(run.name)
            if first is not None:
                if (run.life == first.life or
                        h.death(first.life) > first.end + DURABLE * SEC):
                    yield Anomaly('ran again', f'{run}; after {first}')
            if h.empty and run.start > h.empty:
                yield Anomaly('ran again', f'{run}; all were gone by '
                                           f'{h.empty}')
            if run.good and run.sent and first is None:
                done[run.name] = run


def check_eta(h):
    for id, runs in h.by_id.items():
        for run in runs:
            if run.start < run.eta:
                yield Anomaly('early', f'{run}')
        for add in h.adds.get(id, [])[-1:]:
            first = runs[0]
            if add['eta'] and first.start < add['eta']:
                yield Anomaly('early', f'{first}; added by {add}')
            if add['eta'] and first.retries == 0 and first.eta != add['eta']:
                yield Anomaly('headers', f'another ETA: {first}; {add}')


# ---- headers from one run to the next ----

def after(a):
    """Execution count and previous response, once a's answer is counted."""
    previous = int(a.answer) if a.answer and a.answer.isdigit() else None
    return a.executions + (a.answer != '503'), previous


def counts(a, b):
    """What is wrong with b behind a in one life, the app up all the time."""
    if b.retries != a.retries + 1:
        return 'the retry count does not rise by one'
    if a.answer is not None and (b.executions, b.previous) != after(a):
        return f'not execution and previous response {after(a)}'
    return None


def counts_over_kill(a, b, restarts):
    """In two lives: the attempt was counted, or was cut off and is not."""
    if not a.retries < b.retries <= a.retries + 1 + restarts:
        return f'the retry count does not rise by 1 to {1 + restarts}'
    if a.answer is not None and (b.executions, b.previous) not in (
            after(a), (a.executions, a.previous)):
        return 'execution and previous response of neither'
    return None


def check_headers(h):
    for runs in h.by_id.values():
        by_name = collections.defaultdict(list)
        for run in runs:
            by_name[run.name].append(run)
        for name, runs in by_name.items():
            yield from follow(h, runs)


def follow(h, runs):
    first = runs[0]
    if first.retries > h.restarts(0, first.start) and \
            not h.killed('app', 0, first.start):
        yield Anomaly('headers', f'the first run has counts: {first}')
    for a, b in zip(runs, runs[1:]):
        if b.retries <= a.retries:
            yield Anomaly('headers', f'the retry count stays: {a}; {b}')
            continue
        if h.killed('app', a.start - SEC, b.start):
            continue                    # attempts that nobody saw
        restarts = h.restarts(h.lives[a.life], b.start)
        wrong = (counts(a, b) if a.life == b.life else
                 counts_over_kill(a, b, restarts))
        if wrong:
            yield Anomaly('headers', f'{wrong}: {a}; {b}')
        elif a.life == b.life and a.end:
            retry = b.retries - h.restarts(0, b.start)
            wait = h.queues[a.queue].wait(retry) if retry > 0 else 0
            if b.eta < a.end + int(wait * SEC) - 1:
                yield Anomaly('backoff', f'not {wait} s: {a}; {b}')


def check_limits(h):
    for id, runs in h.by_id.items():
        limit = h.adds[id][-1]['limit'] if id in h.adds else None
        for run in runs:
            if limit is not None and \
                    run.retries > limit + h.restarts(0, run.start):
                yield Anomaly('limit', f'{limit} retries: {run}')
    seen = {}
    for run in h.runs:
        before = seen.setdefault((run.life, run.number), run)
        if before is not run:
            yield Anomaly('sent twice', f'one attempt: {before}; {run}')


# ---- each queue ----

def lives(h, queue):
    runs = collections.defaultdict(list)
    for run in h.runs:
        if run.queue == queue:
            runs[run.life].append(run)
    return runs.values()


def excess(runs, rate, bucket):
    """Seconds by which the fullest of all windows is too short.

    Runs i..j fit when j - i + 1 <= rate * (t[j] - t[i] + late) + bucket.
    """
    worst, lowest = 0, None
    for j, run in enumerate(runs):
        height = j - rate * run.start / SEC
        lowest = height if lowest is None else min(lowest, height)
        worst = max(worst, height - lowest + 1 - bucket)
    return worst / rate


def check_rate(h):
    for name, queue in h.queues.items():
        for runs in lives(h, name):
            late = excess(runs, queue.rate, queue.bucket)
            if late > LATE:
                yield Anomaly('rate', f'{name}: {queue.rate}/s and '
                                      f'{queue.bucket} were exceeded, as if '
                                      f'{late:.2f} s were missing')


def check_concurrency(h):
    for name, queue in h.queues.items():
        for runs in lives(h, name):
            marks = [(r.end, -1) for r in runs if r.end]
            marks += [(r.start, 1) for r in runs if r.end]
            running = most = 0
            for _, step in sorted(marks):
                running += step
                most = max(most, running)
            if most > queue.concurrent:
                yield Anomaly('concurrency', f'{name}: {most} at once, '
                                             f'{queue.concurrent} allowed')


# ---- leases ----

def check_leases(h):
    held = collections.defaultdict(list)
    for e in h.leases:
        for name, id, eta, count in e['tasks']:
            held[name].append((eta, e['t0'], e['t1'], count, id))
    given_back = collections.defaultdict(list)
    for e in h.releases:
        given_back[e['name']].append(e['t0'])
    gone = {e['name']: e['t1'] for e in h.deletes
            if e['t1'] and e['queue'] not in h.queues}
    leased = set()
    for name, leases in held.items():
        leases.sort(key=lambda x: x[3])
        leased.add(leases[0][4])
        times = sorted(given_back[name])
        for (eta, _, got, n, id), (_, asked, got2, n2, _) in zip(
                leases, leases[1:]):
            at = bisect.bisect_left(times, got)
            released = at < len(times) and times[at] < got2
            if n2 == n:
                yield Anomaly('lease', f'{id} {name}: the count stays {n}')
            elif got2 < eta and not released:
                yield Anomaly('lease', f'{id} {name}: leased until {eta}, '
                                       f'and to another at {got2}')
        for _, asked, *_ in leases:
            if name in gone and asked > gone[name]:
                yield Anomaly('lease', f'{name}: leased at {asked}, deleted '
                                       f'at {gone[name]}')
    for id, adds in h.adds.items():
        if adds[-1]['queue'] not in h.queues and adds[-1]['how'] == 'ok' and \
                id not in leased:
            yield Anomaly('lost', f'never leased: {adds[-1]}')


CHECKS = [check_presence, check_deletes, check_names, check_end, check_eta,
          check_headers, check_limits, check_rate, check_concurrency,
          check_leases]


def check(history):
    return [a for c in CHECKS for a in c(history)]
