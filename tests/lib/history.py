"""Is a recorded history of transactions serializable, and in real time?

    for anomaly in check(history):
        print(anomaly)

A history is what clients saw: of each transaction when it was called and when
it was answered, what it read and wrote, and its outcome - `ok`, `fail` (it was
refused, or rolled back) or `unknown` (the connection was cut while it
committed).  The idea is Elle's (Kingsbury, Alvaro 2020): data whose reads give
away the writes before them.  Four kinds of it:

    list      append(key, values), read(key, values): a read is the order of
              all appends before it
    account   balance(key, writer, amount), store(key, before, amount): every
              write read the one before, so writes are a chain
    set       add(key, item), drop(key, item), scan(key, items): blind writes,
              and reads by a query
    register  put(key, version), get(key, writer, version): blind writes, in
              the order of the versions that the store gave them

From these follow edges between transactions: ww (one wrote over the other's),
wr (one read what the other wrote), rw (one did not see what the other wrote),
rt (one had its answer before the other was called).  What failed takes part
with what it read: nobody may see a mix, not even a loser.  A cycle is an
anomaly, named after Adya by the edges it needs:

    G0        ww alone                     dirty write
    G1c       and wr                       circular information flow
    G-single  and one rw                   read skew, lost update
    G2        and several rw               write skew
    ...-realtime                           rt too: stale, though serializable

Beside cycles: G1a (a read of what was refused), values from nowhere or twice,
lists of two orders, lost updates, acknowledged writes that are gone at the
end, commits of which half is there, money made or lost, versions that go back.

The last transaction of a history reads everything (`final`).
"""
import collections
import itertools

KINDS = ('ww', 'wr', 'rw', 'rt')
LEVELS = (('ww',), ('ww', 'wr'), ('ww', 'wr', 'rw'), KINDS)
INFINITE = float('inf')
SHOWN = 400                     # characters of one operation


class Txn:
    """One transaction as its client saw it; times in any unit."""

    def __init__(self, id, start, end, outcome, ops, final=False):
        self.id, self.start, self.outcome = id, start, outcome
        self.end = INFINITE if outcome == 'unknown' else end
        self.ops = [tuple(op) for op in ops]
        self.final = final

    def each(self, *names):
        return (op for op in self.ops if op[0] in names)

    def __str__(self):
        ops = '; '.join(short(op) for op in self.ops)
        return f'T{self.id} [{self.start}, {self.end}] {self.outcome}: {ops}'


def short(op):
    text = ' '.join(map(str, op))
    return text if len(text) < SHOWN else text[:SHOWN] + '...'


class Anomaly:
    def __init__(self, name, text, txns=()):
        self.name, self.text, self.txns = name, text, txns

    def __str__(self):
        return '\n    '.join([f'{self.name}: {self.text}',
                              *map(str, self.txns)])


class History:
    """The transactions, the edges found so far and the anomalies."""

    def __init__(self, txns):
        self.txns = {t.id: t for t in txns}
        assert len(self.txns) == len(txns), 'two transactions have one id'
        self.final = next((t for t in txns if t.final), None)
        self.edges = collections.defaultdict(dict)  # a -> b -> kind -> why
        self.anomalies = []
        self.seen = set()       # whose writes somebody saw

    def report(self, name, text, *ids):
        self.anomalies.append(Anomaly(
            name, text, [self.txns[i] for i in dict.fromkeys(ids)
                         if i in self.txns]))

    def edge(self, a, b, kind, why):
        if a != b and a in self.txns and b in self.txns:
            self.edges[a].setdefault(b, {}).setdefault(kind, why)

    def saw(self, reader, writer, what):
        """`reader` saw what `writer` wrote; None is a value from nowhere."""
        if writer not in self.txns:
            self.report('phantom write', f'{what}: nobody wrote it', reader)
            return
        self.seen.add(writer)
        if self.txns[writer].outcome == 'fail' and writer != reader:
            self.report('G1a aborted read', f'{what}: it was refused',
                        reader, writer)

    def committed(self, id):
        return self.txns[id].outcome == 'ok' or (
            id in self.seen and self.txns[id].outcome == 'unknown')

    def missing(self, id, what):
        """A write that is not there at the end though it should be."""
        if self.final is None or not self.committed(id):
            return
        if self.txns[id].outcome == 'ok':
            self.report('lost acknowledged write', what, id)
        else:
            self.report('torn commit',
                        f'{what}, but other writes of it are there', id)

    def grouped(self, *names):
        """key -> [(txn, op)] of the operations so named."""
        out = collections.defaultdict(list)
        for t in self.txns.values():
            for op in t.each(*names):
                out[op[1]].append((t, op))
        return out


# ---- the four kinds of data ----
# Each is a pair: observe() finds who saw whom, which says what has committed;
# relate() then draws the edges.

class Lists:
    def __init__(self, history):
        self.h = history
        self.reads = history.grouped('read')
        self.appends = history.grouped('append')
        self.writer = {(key, v): t.id for key, all in self.appends.items()
                       for t, op in all for v in op[2]}

    def observe(self):
        for key, reads in self.reads.items():
            for t, op in reads:
                values = op[2]
                if len({*values}) < len(values):
                    self.h.report('duplicate', f'{key} holds a value twice',
                                  t.id)
                for v in values:
                    self.h.saw(t.id, self.writer.get((key, v)),
                               f'{v} in {key}')

    def relate(self):
        for key in {*self.reads, *self.appends}:
            order = self.order(key)
            for t, op in self.appends.get(key, ()):
                for v in op[2]:
                    if v not in order:
                        self.h.missing(t.id, f'append of {v} to {key}')
            self.chain(key, order)

    def order(self, key):
        """The longest list anybody saw; all others must begin it."""
        reads = sorted(self.reads.get(key, ()), key=lambda r: len(r[1][2]))
        for (t, op), (later, longer) in zip(reads, reads[1:]):
            if longer[2][:len(op[2])] != op[2]:
                self.h.report('incompatible order', f'{key} has two',
                              t.id, later.id)
        return reads[-1][1][2] if reads else []

    def chain(self, key, order):
        writers = [self.writer.get((key, v)) for v in order]
        for a, b in zip(writers, writers[1:]):
            self.h.edge(a, b, 'ww', f'{key}: appended behind it')
        for t, op in self.reads.get(key, ()):
            n = len(op[2])
            if n:
                self.h.edge(self.writer.get((key, op[2][-1])), t.id, 'wr',
                            f'{key}: read its {op[2][-1]}')
            while n < len(order) and writers[n] == t.id:
                n += 1          # its own append
            if n < len(order):
                self.h.edge(t.id, writers[n], 'rw',
                            f'{key}: did not see its {order[n]}')


class Accounts:
    """A balance names the transaction that wrote it; 0 wrote the first."""

    def __init__(self, history):
        self.h = history
        self.reads = history.grouped('balance')
        self.stores = history.grouped('store')

    def observe(self):
        amounts = {(key, t.id): op[3] for key, all in self.stores.items()
                   for t, op in all}
        for key, reads in self.reads.items():
            for t, (_, _, writer, amount) in reads:
                if writer == 0:
                    continue
                self.h.saw(t.id, writer if (key, writer) in amounts else None,
                           f'{key} = {amount} of T{writer}')
                if amounts.get((key, writer), amount) != amount:
                    self.h.report('corrupt', f'{key} is {amount}', t.id,
                                  writer)

    def relate(self):
        for key in {*self.reads, *self.stores}:
            before = {t.id: op[2] for t, op in self.stores.get(key, ())}
            after = collections.defaultdict(list)
            for id, previous in before.items():
                if self.h.committed(id):
                    after[previous].append(id)
            self.lost_updates(key, after)
            for previous, ids in after.items():
                for id in ids:
                    self.h.edge(previous, id, 'ww', f'{key}: wrote over it')
            self.read_edges(key, after)
            self.ends_at(key, before)

    def lost_updates(self, key, after):
        for previous, ids in after.items():
            if len(ids) > 1:
                self.h.report('lost update', f'{key}: both wrote over T'
                              f'{previous}', previous, *ids)

    def read_edges(self, key, after):
        for t, (_, _, writer, _) in self.reads.get(key, ()):
            self.h.edge(writer, t.id, 'wr', f'{key}: read its balance')
            for id in after.get(writer, ()):
                self.h.edge(t.id, id, 'rw', f'{key}: did not see its balance')

    def ends_at(self, key, before):
        """The chain from the last balance back has all that committed."""
        if self.h.final is None:
            return
        at = next((op[2] for op in self.h.final.each('balance')
                   if op[1] == key), 0)
        chain = set()
        while at in before and at not in chain:
            chain.add(at)
            at = before[at]
        for id in before:
            if id not in chain:
                self.h.missing(id, f'balance of {key}')


class Sets:
    def __init__(self, history):
        self.h = history
        self.scans = history.grouped('scan')
        self.adds = history.grouped('add')
        self.drops = history.grouped('drop')
        self.adder = {(key, op[2]): t.id for key, all in self.adds.items()
                      for t, op in all}

    def observe(self):
        for key, scans in self.scans.items():
            for t, op in scans:
                for item in op[2]:
                    self.h.saw(t.id, self.adder.get((key, item)),
                               f'{item} in {key}')

    def relate(self):
        for key in {*self.scans, *self.adds}:
            droppers = {}
            for t, op in self.drops.get(key, ()):
                if t.outcome != 'fail':
                    droppers.setdefault(op[2], []).append(t.id)
            for t, op in self.scans.get(key, ()):
                self.scan(key, t, set(op[2]), droppers)
            self.ends_at(key, droppers)

    def scan(self, key, t, items, droppers):
        for item in items:
            self.h.edge(self.adder.get((key, item)), t.id, 'wr',
                        f'{key}: found its {item}')
            for dropper in droppers.get(item, ()):
                if self.h.txns[dropper].outcome == 'ok':
                    self.h.edge(t.id, dropper, 'rw',
                                f'{key}: still found {item}')
        for adder, op in self.adds.get(key, ()):
            if (op[2] not in items and op[2] not in droppers and
                    self.h.committed(adder.id)):
                self.h.edge(t.id, adder.id, 'rw',
                            f'{key}: did not find its {op[2]}')

    def ends_at(self, key, droppers):
        if self.h.final is None:
            return
        items = {i for op in self.h.final.each('scan') if op[1] == key
                 for i in op[2]}
        for t, op in self.adds.get(key, ()):
            if op[2] not in items and op[2] not in droppers:
                self.h.missing(t.id, f'{op[2]} in {key}')
        for item, ids in droppers.items():
            if item in items:
                for id in ids:
                    self.h.missing(id, f'the delete of {item} in {key}')


class Registers:
    def __init__(self, history):
        self.h = history
        self.gets = history.grouped('get')
        self.puts = history.grouped('put')

    def observe(self):
        written = {(key, t.id): op[2] for key, all in self.puts.items()
                   for t, op in all}
        for key, gets in self.gets.items():
            for t, (_, _, writer, version) in gets:
                if writer == 0:
                    continue
                self.h.saw(t.id, writer if (key, writer) in written else None,
                           f'{key} of T{writer}')
                told = written.get((key, writer))
                if told is not None and told != version:
                    self.h.report('corrupt', f'{key}: version {told} was '
                                  f'acknowledged, {version} read', t.id,
                                  writer)

    def relate(self):
        for key in {*self.gets, *self.puts}:
            versions = {op[2]: t.id for t, op in self.puts.get(key, ())
                        if op[2] is not None and self.h.committed(t.id)}
            versions.update({op[3]: op[2] for _, op in self.gets.get(key, ())
                             if op[2]})
            order = sorted(versions)
            following = dict(zip(order, order[1:]))
            for a, b in following.items():
                self.h.edge(versions[a], versions[b], 'ww',
                            f'{key}: wrote over it')
            for t, (_, _, writer, version) in self.gets.get(key, ()):
                self.h.edge(writer, t.id, 'wr', f'{key}: read it')
                later = following.get(version) if writer else (
                    order[0] if order else None)
                if later is not None:
                    self.h.edge(t.id, versions[later], 'rw',
                                f'{key}: did not see it')


# ---- what one transaction says by itself ----

def sums(history):
    """sum(pool, total, amount): what there has to be, and what was found."""
    for t in history.txns.values():
        for _, pool, total, amount in t.each('sum'):
            if amount != total:
                history.report('money', f'{pool} has {amount}, not {total}',
                               t.id)


def repeated_reads(history):
    """What a transaction reads twice has not changed between."""
    for t in history.txns.values():
        first = {}
        for op in t.each('read', 'balance', 'scan', 'get'):
            if first.setdefault(op[:2], op) != op:
                history.report('fuzzy read', f'{op[1]} changed inside it',
                               t.id)


def versions_go_up(history):
    """group(key, version): a later read never shows an older version."""
    for key, reads in history.grouped('group').items():
        ends = sorted(reads, key=lambda r: r[0].end)
        top, at = None, 0
        for t, op in sorted(reads, key=lambda r: r[0].start):
            while ends[at][0].end < t.start:
                if top is None or ends[at][1][2] > top[1][2]:
                    top = ends[at]
                at += 1
            if top and op[2] < top[1][2]:
                history.report('version went back', f'{key}: {top[1][2]}, '
                               f'then {op[2]}', top[0].id, t.id)


def real_time(history):
    """Edges from what was answered to what was called next, only the last
    ones: those before them follow."""
    events = sorted([(t.start, 1, t.id) for t in history.txns.values()] +
                    [(t.end, 0, t.id) for t in history.txns.values()
                     if t.end != INFINITE])
    done, before = set(), {}
    for _, begins, id in events:
        if begins:
            before[id] = set(done)
            for other in done:
                history.edge(other, id, 'rt', 'answered before it was called')
        else:
            done -= before.pop(id)
            done.add(id)


# ---- cycles ----

def components(edges):
    """Strongly connected components of more than one node (Tarjan)."""
    index, low, on, stack, out = {}, {}, set(), [], []
    for root in list(edges):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        work = [(root, iter(edges.get(root, ())))]
        while work:
            node, rest = work[-1]
            for b in rest:
                if b not in index:
                    index[b] = low[b] = len(index)
                    stack.append(b)
                    on.add(b)
                    work.append((b, iter(edges.get(b, ()))))
                    break
                if b in on:
                    low[node] = min(low[node], index[b])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    found = stack[stack.index(node):]
                    del stack[-len(found):]
                    on.difference_update(found)
                    if len(found) > 1:
                        out.append(found)
    return out


def path(edges, a, b, inside):
    """A shortest path from a to b as nodes, or None."""
    come, queue = {a: None}, collections.deque([a])
    while queue:
        node = queue.popleft()
        if node == b:
            out = []
            while node is not None:
                out.append(node)
                node = come[node]
            return out[::-1]
        for c in edges.get(node, ()):
            if c in inside and c not in come:
                come[c] = node
                queue.append(c)
    return None


class Cycles:
    def __init__(self, history):
        self.h = history

    def of(self, kinds):
        """The edges of these kinds: a -> [b]."""
        return {a: [b for b, k in out.items() if not k.keys().isdisjoint(kinds)]
                for a, out in self.h.edges.items()}

    def find(self):
        told = set()
        for kinds in LEVELS:
            edges = self.of(kinds)
            calm = self.of([k for k in kinds if k != 'rw'])
            for found in components(edges):
                if told.isdisjoint(found):
                    self.tell(self.shortest(edges, calm, set(found)), kinds)
                    told.update(found)

    def shortest(self, edges, calm, inside):
        """Of few rw edges rather than of few nodes."""
        best = None
        for a, b in self.some(edges, inside):
            for graph in (calm, edges):
                back = path(graph, b, a, inside)
                if back:
                    cost = (graph is edges, len(back))
                    if best is None or cost < best[0]:
                        best = cost, back
                    break
            if best[0] == (False, 2):
                break           # no cycle is smaller
        return best[1]

    @staticmethod
    def some(edges, inside):
        """Enough edges of a component: a bad store's are large."""
        return itertools.islice(((a, b) for a in sorted(inside)
                                 for b in edges[a] if b in inside), 1000)

    def tell(self, cycle, kinds):
        steps, used = [], []
        for a, b in zip(cycle, cycle[1:] + cycle[:1]):
            why = self.h.edges[a][b]
            kind = next(k for k in kinds if k in why)
            used.append(kind)
            steps.append(f'T{a} -{kind}-> T{b} ({why[kind]})')
        name = {0: 'G1c' if 'wr' in used else 'G0',
                1: 'G-single'}.get(used.count('rw'), 'G2')
        if 'rt' in used:
            name += '-realtime'
        if any(self.h.txns[i].outcome == 'fail' for i in cycle):
            name += ' (seen by one that failed)'
        self.h.report(name, ', '.join(steps), *cycle)


def check(txns):
    """The anomalies of a history; none is what a good store gives."""
    history = History(txns)
    data = [make(history) for make in (Lists, Accounts, Sets, Registers)]
    for each in data:
        each.observe()
    for each in data:
        each.relate()
    sums(history)
    repeated_reads(history)
    versions_go_up(history)
    real_time(history)
    Cycles(history).find()
    return history.anomalies
