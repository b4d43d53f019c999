"""lib/history.py finds each anomaly in the smallest history that has it."""
import pytest

from lib.history import Txn, check


def t(id, start, end, *ops, outcome='ok', final=False):
    return Txn(id, start, end, outcome, ops, final)


def append(key, *values):
    return 'append', key, list(values)


def read(key, *values):
    return 'read', key, list(values)


def end(*ops):
    return t(99, 90, 91, *ops, final=True)


# label, the names of what is found, the history.
CASES = [
    ('nothing', set(), []),
    ('one after the other', set(), [
        t(1, 0, 1, read('x'), append('x', 1)),
        t(2, 2, 3, read('x', 1), append('x', 2), ('add', 's', 2)),
        t(3, 4, 5, read('x', 1, 2), ('scan', 's', [2])),
        end(read('x', 1, 2), ('scan', 's', [2]))]),
    ('side by side, in either order', set(), [
        t(1, 0, 9, append('x', 1)), t(2, 0, 9, append('x', 2)),
        t(3, 1, 8, read('x', 2)), t(4, 1, 8, read('x')),
        end(read('x', 2, 1))]),
    ('a cut commit that happened, and one that did not', set(), [
        t(1, 0, 1, append('x', 1), outcome='unknown'),
        t(2, 2, 3, append('x', 2), ('add', 's', 2), outcome='unknown'),
        t(3, 4, 5, read('x', 1)), end(read('x', 1), ('scan', 's', []))]),
    ('a cut commit that happens late', set(), [
        t(1, 0, 1, append('x', 1), outcome='unknown'),
        t(2, 2, 3, read('x')), t(3, 4, 5, read('x', 1)),
        end(read('x', 1))]),
    ('a refused write that is read', {'G1a aborted read'}, [
        t(1, 0, 1, append('x', 1), outcome='fail'), t(2, 2, 3, read('x', 1))]),
    ('a value of nobody', {'phantom write'}, [t(1, 0, 1, read('x', 7))]),
    ('a value twice', {'duplicate'}, [
        t(1, 0, 1, append('x', 1)), t(2, 2, 3, read('x', 1, 1))]),
    ('two orders', {'incompatible order', 'G-single'}, [
        t(1, 0, 9, append('x', 1)), t(2, 0, 9, append('x', 2)),
        t(3, 0, 9, read('x', 1)), t(4, 0, 9, read('x', 2, 1))]),
    ('writes in two orders', {'G0'}, [
        t(1, 0, 9, append('x', 1), append('y', 1)),
        t(2, 0, 9, append('x', 2), append('y', 2)),
        t(3, 0, 9, read('x', 1, 2)), t(4, 0, 9, read('y', 2, 1))]),
    ('each read the other', {'G1c'}, [
        t(1, 0, 9, append('x', 1), read('y', 2)),
        t(2, 0, 9, append('y', 2), read('x', 1))]),
    ('half of a transaction is seen', {'G-single'}, [
        t(1, 0, 9, append('x', 1), append('y', 2)),
        t(2, 0, 9, read('x', 1), read('y')), t(3, 0, 9, read('y', 2))]),
    ('the same by one that failed', {'G-single (seen by one that failed)'}, [
        t(1, 0, 9, append('x', 1), append('y', 2)),
        t(2, 0, 9, read('x', 1), read('y'), outcome='fail'),
        t(3, 0, 9, read('y', 2))]),
    ('write skew', {'G2'}, [
        t(1, 0, 9, read('x'), append('y', 1)),
        t(2, 0, 9, read('y'), append('x', 2)),
        t(3, 10, 11, read('x', 2), read('y', 1))]),
    ('write skew over a query', {'G2'}, [
        t(1, 0, 9, ('scan', 's', []), ('add', 'r', 1)),
        t(2, 0, 9, ('scan', 'r', []), ('add', 's', 2)),
        t(3, 10, 11, ('scan', 'r', [1]), ('scan', 's', [2]))]),
    ('a stale read', {'G-single-realtime'}, [
        t(1, 0, 1, append('x', 1)), t(2, 2, 3, read('x')),
        t(3, 4, 5, read('x', 1))]),
    ('a read of the future', {'G1c-realtime'}, [
        t(1, 0, 1, read('x', 1)), t(2, 2, 3, append('x', 1))]),
    ('an item that comes back', {'G-single-realtime'}, [
        t(1, 0, 1, ('add', 's', 1)),
        t(2, 2, 3, ('scan', 's', [1]), ('drop', 's', 1)),
        t(3, 4, 5, ('scan', 's', [1]))]),
    ('a lost update', {'lost update', 'G2'}, [
        t(1, 0, 9, ('balance', 'a', 0, 5), ('store', 'a', 0, 6)),
        t(2, 0, 9, ('balance', 'a', 0, 5), ('store', 'a', 0, 7))]),
    ('a lost acknowledged append', {'lost acknowledged write'}, [
        t(1, 0, 1, append('x', 1)), end(read('x'))]),
    ('one that went with its list', {'lost acknowledged write'}, [
        t(1, 0, 1, append('x', 1)), end()]),
    ('a lost acknowledged item', {'lost acknowledged write',
                                  'G-single-realtime'}, [
        t(1, 0, 1, ('add', 's', 1)), end(('scan', 's', []))]),
    ('a lost balance', {'lost acknowledged write', 'G-single-realtime'}, [
        t(1, 0, 1, ('balance', 'a', 0, 5), ('store', 'a', 0, 6)),
        end(('balance', 'a', 0, 5))]),
    ('half of a cut commit', {'torn commit'}, [
        t(1, 0, 1, append('x', 1), append('y', 2), outcome='unknown'),
        end(read('x', 1), read('y'))]),
    ('a register that loses its last value', {'G-single-realtime'}, [
        t(1, 0, 1, ('put', 'r', 10)), t(2, 2, 3, ('put', 'r', 20)),
        end(('get', 'r', 1, 10))]),
    ('a register that nobody wrote', {'phantom write'}, [
        t(1, 0, 1, ('get', 'r', 5, 10))]),
    ('a register with two versions', {'corrupt'}, [
        t(1, 0, 1, ('put', 'r', 10)), t(2, 2, 3, ('get', 'r', 1, 11))]),
    ('money from nowhere', {'money'}, [t(1, 0, 1, ('sum', 'all', 10, 11))]),
    ('two reads that differ', {'fuzzy read', 'G-single'}, [
        t(1, 0, 9, read('x'), read('x', 1)), t(2, 0, 9, append('x', 1)),
    ]),
    ('a version that goes back', {'version went back'}, [
        t(1, 0, 1, ('group', 'g', 7)), t(2, 2, 3, ('group', 'g', 6))]),
    ('versions side by side', set(), [
        t(1, 0, 2, ('group', 'g', 7)), t(2, 1, 3, ('group', 'g', 6))]),
]


@pytest.mark.parametrize('label, names, history', CASES,
                         ids=[c[0] for c in CASES])
def test_finds(label, names, history):
    assert {a.name for a in check(history)} == names


def test_the_cycle_told_is_the_smallest():
    """Among many: the last of thirty readers has missed the last write."""
    history = [t(i, 2 * i, 2 * i + 1, read('x', *range(1, i)), append('x', i))
               for i in range(1, 30)]
    history += [t(50, 100, 101, read('x', *range(1, 29))),
                t(51, 102, 103, read('x', *range(1, 30)))]
    anomaly, = check(history)
    assert anomaly.name == 'G-single-realtime'
    assert len(anomaly.txns) == 2
