"""Logs: bounded whatever an application writes, and asked by time."""
import os
import re
import signal
import threading
import time
import urllib.parse

import pytest

from flow.machine import Machine
from lib import paths
from lib.process import Process

MB = 1 << 20

# Floods while /flood is open; /say/WORDS writes a line.
FLOOD = '''
import http.server, os, sys, threading, time, urllib.parse

block = ("x" * 1023 + "\\n") * 1024
flooding = threading.Event()
written = 0

def flood():
    global written
    while True:
        flooding.wait()
        sys.stdout.write(block)
        written += len(block)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = urllib.parse.unquote(self.path)
        if path == "/flood":
            flooding.set()
        elif path == "/calm":
            flooding.clear()
        elif path == "/exit":
            os.write(2, b"Traceback: the last words\\n")
            os._exit(3)
        elif path.startswith("/say/"):
            os.write(1, path[5:].encode() + b"\\n")
        elif path == "/odd":
            os.write(1, b"odd \\0 nul\\nodd \\x1b[31m\\nodd \\xff\\xfe\\x80\\n"
                     b"odd " + b"x" * 40000 + b"\\n" + b'{"a": "odd \\\\ud800"}'
                     b"\\n" + b'{"message": "odd \\\\u0000"}\\n' + b"odd end\\n")
        elif path.startswith("/fast/"):
            name, n = path[6:].split("/")
            for i in range(int(n)):
                sys.stdout.write(f"{name} {i} {'x' * 90}\\n")
        elif path.startswith("/count/"):
            n, begin = map(int, path[7:].split("/"))
            os.write(1, b"".join(b"number %d %s\\n" % (i, b"x" * 1000)
                                 for i in range(begin, begin + n)))
        body = f"{written} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

threading.Thread(target=flood, daemon=True).start()
http.server.ThreadingHTTPServer(
    ("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

APP = {'entrypoint': {'shell': 'python server.py'}}


def until(condition, within=60):
    """Its answer, once it is true."""
    deadline = time.monotonic() + within * paths.SLOWNESS
    while not (answer := condition()):
        assert time.monotonic() < deadline, 'it did not happen'
        time.sleep(0.02)
    return answer


def log_files(machine, name):
    folder = os.path.join(machine.root, 'logs')
    found = {}
    for entry in os.scandir(folder):
        if entry.name.startswith(name):
            try:
                found[entry.name] = entry.stat().st_size
            except FileNotFoundError:
                pass
    return found


def written(machine):
    return int(machine.get('/').text.split()[0])


def test_a_flood_is_bounded_loses_nothing_and_survives_kills(
        tmp_path, cache):
    """The writer of the log is killed in the middle, and the controller."""
    m = Machine(tmp_path / 'flood', cache, log_mb=1, log_files=2)
    try:
        m.up().deploy('demo', 'one', {'server.py': FLOOD}, **APP)
        most = 0

        def past(bytes_):
            nonlocal most
            most = max(most, sum(log_files(m, 'demo.').values()))
            return written(m) > bytes_

        m.get('/flood')
        until(lambda: past(30 * MB))
        for pid in writers(m):
            os.kill(pid, signal.SIGKILL)
        now = written(m)
        until(lambda: past(now + 30 * MB))
        m.controller.kill9()
        m.up()
        now = written(m)
        until(lambda: past(now + 30 * MB))
        assert len(writers(m)) == 1
        assert m.process('demo/')['restarts'] == 0
        m.get('/calm')
        # Between two renames one of them is not there.
        until(lambda: sorted(log_files(m, 'demo.')) == [
            'demo.default.one.log', 'demo.default.one.log.1',
            'demo.default.one.log.2'])
        assert 2 * MB <= most <= 3 * MB + 4 * 65536
    finally:
        m.erase()
    assert writers(m) == []


def writers(machine):
    """The processes that write the logs of instances."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline') as f:
                words = f.read().split('\0')
        except OSError:
            continue
        if words[0].endswith('/appscale-log') and \
                words[1].startswith(machine.root):
            found.append(int(pid))
    return found


@pytest.fixture(scope='module')
def talkers(tmp_path_factory, cache):
    """Two services that say what they are told."""
    m = Machine(tmp_path_factory.mktemp('talkers'), cache, log_mb=1,
                log_files=9)
    try:
        m.up().deploy('demo', 'one', {'server.py': FLOOD}, **APP)
        m.deploy('demo', 'two', {'server.py': FLOOD}, service='side', **APP)
        yield m
    finally:
        m.erase()


SIDE = 'side-dot-demo.localhost'


def say(machine, text, host='demo.localhost'):
    machine.get('/say/' + urllib.parse.quote(text, safe=''), host=host)


def logs(machine, want=200, project='demo', **query):
    status, answer = machine.api(
        'GET', f'/v1/apps/{project}/logs?' + urllib.parse.urlencode(query))
    assert status == want, answer
    return answer


def texts(machine, **query):
    return [e['text'] for e in logs(machine, **query)['entries']]


def asked(machine, **query):
    """Its requests in the logs, without what changes from one to the next."""
    return [(e['source'], e['instance'], e['severity'],
             re.sub(' [0-9]+ ms [0-9]+ bytes ', ' ', e['text']))
            for e in logs(machine, requests='only', **query)['entries']]


def test_services_and_requests_are_merged_and_sifted(talkers):
    m = talkers
    say(m, 'apple 1')
    say(m, 'ERROR: apple 2', SIDE)
    say(m, '{"severity":"WARNING","message":"apple 3","n":7}')
    m.get('/apple-4', host=SIDE)
    until(lambda: any('/apple-4' in t for t in texts(m, text='apple-4')))
    told = [e for e in logs(m, text='apple')['entries']
            if '/say/' not in e['text']]
    assert [(e['source'], e.get('instance'), e['severity'], e['text'][:8])
            for e in told] == [
        ('default.one', '0', 'DEFAULT', 'apple 1'),
        ('side.two', '0', 'ERROR', 'ERROR: a'),
        ('default.one', '0', 'WARNING', 'apple 3'),
        ('side.two', '0', 'INFO', 'GET /app')]
    assert told[2]['json'] == {
        'severity': 'WARNING', 'message': 'apple 3', 'n': 7}
    assert texts(m, text='APPLE', severity='warning') == [
        'ERROR: apple 2', 'apple 3']
    assert texts(m, text='apple', service='side', requests='none') == [
        'ERROR: apple 2']
    assert texts(m, text='apple', version='one', instance=0,
                 requests='none') == ['apple 1', 'apple 3']
    assert any('/apple-4' in t for t in texts(m, instance=0))
    assert 'X-Appscale-Instance' not in m.get('/').headers
    assert texts(m, text='apple', instance=1) == []
    assert all(t.startswith('GET ') for t in texts(m, requests='only'))
    middle = told[1]['time']
    after = texts(m, text='apple', since=middle, requests='none')
    assert after == ['ERROR: apple 2', 'apple 3']
    assert texts(m, text='apple', until=middle, requests='none') == ['apple 1']


@pytest.mark.parametrize('query, status', [
    ({'service': 'nobody'}, 404), ({'version': 'nobody'}, 404),
    ({'project': 'nobody'}, 404), ({'severity': 'loud'}, 400),
    ({'since': 'yesterday'}, 400), ({'lines': 1001}, 400),
    ({'cursor': 'x'}, 400), ({'requests': 'all'}, 400)])
def test_what_cannot_be_asked_is_told(talkers, query, status):
    answer = logs(talkers, status, **query)
    assert answer['error']['message']


def test_any_bytes_make_an_answer(talkers):
    m = talkers
    m.get('/odd')
    until(lambda: 'odd end' in texts(m, text='odd'))
    found = texts(m, text='odd', requests='none')
    assert len([t for t in found if t.startswith('odd')]) == 5
    assert len([t for t in found if 'a": "odd' in t]) == 1
    assert 'odd \ufffd nul' in found


def test_a_follower_sees_each_line_once_across_rotation(talkers):
    m = talkers
    say(m, 'number 0 ')
    until(lambda: texts(m, text='number', requests='none'))
    p = Process([paths.APPSCALE, 'logs', 'demo', '-f', '--root', m.root,
                 '--no-requests', '--grep', 'number'], name='logs')
    seen = 1
    try:
        p.wait_line('number 0 ')
        for burst in range(12):
            m.get(f'/count/400/{seen}',
                  host=SIDE if burst % 3 == 0 else 'demo.localhost')
            seen += 400
            p.wait_line(f'number {seen - 1} ')
            if burst == 5:
                m.controller.kill9()
                m.get(f'/count/10/{seen}')
                seen += 10
                m.up().ready()
        numbers = [int(n) for n in re.findall(r'number (\d+) ', p.output())]
        assert numbers == list(range(seen))
        assert len(log_files(m, 'demo.default.one.log')) > 2
    finally:
        p.stop()


class Follower:
    """Reads on by the cursor."""

    def __init__(self, m, **query):
        self.m, self.query = m, query
        self.cursor = logs(m, lines=1, **query)['cursor']
        self.lines, self.lost = [], 0

    def read(self):
        """Until there is no more right now."""
        more = True
        while more:
            answer = logs(self.m, cursor=self.cursor, **self.query)
            self.cursor, more = answer['cursor'], answer['more']
            self.lines += [e['text'] for e in answer['entries']]
            self.lost += answer['lost']
        return self

    def numbers(self, name):
        return [int(line.split()[1]) for line in self.lines
                if line.startswith(name + ' ')]


# Two instances have a writer each, and lines of theirs no order.
ONE = {**APP, 'manualScaling': {'instances': 1}}


def test_a_flood_of_two_services_is_followed_line_by_line(tmp_path, cache):
    """As fast as they can, over many rotations, the controller killed in
    between."""
    m = Machine(tmp_path / 'follow', cache, log_mb=1, log_files=40)
    each = 40_000                       # lines, more than 4 MB
    try:
        m.up()
        m.deploy('demo', 'one', {'server.py': FLOOD}, **ONE)
        m.deploy('demo', 'two', {'server.py': FLOOD}, service='side', **ONE)
        f = Follower(m, requests='none')
        threads = [threading.Thread(target=m.get, args=(path, host))
                   for path, host in [(f'/fast/a/{each}', 'demo.localhost'),
                                      (f'/fast/b/{each}', SIDE)]]
        for t in threads:
            t.start()
        until(lambda: len(f.read().lines) > each)
        m.controller.kill9()
        m.up()
        until(lambda: len(f.read().lines) >= 2 * each)
        for t in threads:
            t.join()
        f.read()
        assert f.numbers('a') == list(range(each))
        assert f.numbers('b') == list(range(each))
        assert f.lost == 0
        assert len(log_files(m, 'demo.default.')) > 3
    finally:
        m.erase()


def test_who_falls_behind_is_told_that_lines_are_gone(tmp_path, cache):
    m = Machine(tmp_path / 'behind', cache, log_mb=1, log_files=1)
    try:
        m.up().deploy('demo', 'one', {'server.py': FLOOD}, **ONE)
        m.get('/say/before')
        f = Follower(m, requests='none')
        m.get('/fast/a/60000')
        m.get('/say/after')
        until(lambda: texts(m, lines=1, requests='none') == ['after'])
        assert f.read().lost == 1
        assert f.lines[-1] == 'after' and 'before' not in f.lines
        got = f.numbers('a')
        assert got == list(range(got[0], 60000))
    finally:
        m.erase()


def test_requests_are_followed_across_rotations(tmp_path, cache):
    """nginx is told to open its file anew; each request is seen once."""
    m = Machine(tmp_path / 'requests', cache, log_mb=1, log_files=9)
    long = 'x' * 4000
    try:
        m.up().deploy('demo', 'one', {'server.py': FLOOD}, **ONE)
        f = Follower(m, requests='only')
        sent = 0
        while 'access.log.2' not in log_files(m, 'access.log'):
            m.get(f'/{sent}?{long}')
            sent += 1
            if sent % 7 == 0:
                f.read()
        until(lambda: len(f.read().lines) >= sent)
        assert [line.split('?')[0] for line in f.lines] == \
            [f'GET /{i}' for i in range(sent)]
        assert f.lost == 0
    finally:
        m.erase()


CRASHES = '''
import http.server, os, sys, threading, time

me = os.environ["GAE_INSTANCE"]
if me == "1" and os.path.exists("FLAG"):
    print("the last words of", me, flush=True)
    sys.exit(3)

def chatter():
    while True:
        print("noise of", me, flush=True)
        time.sleep(0.01)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

threading.Thread(target=chatter, daemon=True).start()
http.server.ThreadingHTTPServer(
    ("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''


def test_the_status_shows_the_words_of_the_instance_that_failed(
        open_machine, tmp_path):
    m, flag = open_machine, str(tmp_path / 'flag')
    m.up()
    m.deploy('demo', 'one', {'server.py': CRASHES.replace('FLAG', flag)},
             manualScaling={'instances': 2}, **APP)
    name = next(p['name'] for p in m.status()['processes']
                if p['name'].startswith('demo/') and p['name'].endswith('/1'))
    open(flag, 'w').close()
    os.kill(m.process(name)['pid'], signal.SIGKILL)
    until(lambda: m.process(name)['state'] == 'failing')
    error = until(lambda: m.process(name)['lastError'])
    assert error[1:] and error[-1] == 'the last words of 1'
    assert not any('noise of 0' in line for line in error)
    assert not any(line.startswith('20') for line in error)
