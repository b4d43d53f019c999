"""An application that means harm, and a neighbour that does not notice.

`evil` runs whatever Python a test sends it and tells what came of it; `good`
is asked again and again meanwhile, by a thread of the test.  Everything is
tried as root, and as an ordinary user where root lends one.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest
import requests
from google.appengine.ext.remote_api import remote_api_bytes_pb2 as remote_api

from flow import apps
from flow.machine import CONTROLLER, Machine
from lib import paths
from lib.ports import free_port

STRANGER = 54321            # an ordinary user who owns nothing
SECRET = 'known-to-good-alone'

EVIL = '''
import ctypes, http.client, http.server, json, os, resource, signal, socket
import struct, sys, threading, time, traceback

libc = ctypes.CDLL(None, use_errno=True)
LOOP = "127.0.0.1"

def call(number, *args):
    """A system call that Python does not know."""
    if libc.syscall(number, *args) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))

def connected(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.connect(address)
        return s.getpeername()

def in_child(work):
    """How a process ends that does `work`: what os.wait() says."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        code = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = {**globals(), "out": None}
        try:
            exec(code, names)
            answer = {"out": names["out"]}
        except BaseException as e:
            answer = {"error": f"{type(e).__name__} {e}"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass

# Reachable from everywhere, as it thinks.
http.server.ThreadingHTTPServer(
    ("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
'''

HANDLERS = [
    {'urlRegex': '/static/(.*)', 'staticFiles': {
        'path': 'static/\\1', 'uploadPathRegex': 'static/.*'}},
    {'urlRegex': '/both/(.*)', 'staticFiles': {
        'path': 'both/\\1', 'uploadPathRegex': 'both/.*',
        'applicationReadable': True}},
    {'urlRegex': '/(.*\\.txt)', 'staticFiles': {
        'path': 'some/\\1', 'uploadPathRegex': 'some/.*\\.txt'}},
]


# The neighbour has a port of its own besides, for nobody else.
LISTENS_TWICE = '''
import os, socket
extra = socket.create_server(("0.0.0.0", int(os.environ["EXTRA"])))
'''


class Harm:
    """A machine with the two applications."""

    def __init__(self, machine):
        self.machine = machine
        self.machine.up()
        self.extra = free_port()
        self.machine.deploy('good', 'one', {'server.py': LISTENS_TWICE +
                                            apps.server('good')['server.py']},
                            envVariables={'SECRET': SECRET,
                                          'EXTRA': str(self.extra)},
                            **apps.PLAIN)
        self.machine.deploy('evil', 'one', {
            'server.py': EVIL, 'static/page': 'for browsers',
            'both/page': 'for both', 'some/page.txt': 'picked'},
            handlers=HANDLERS, **apps.PLAIN)
        self.missing = self.machine.status()['sandbox']['missing']

    def evil(self, code):
        """What came of it: {"out": ...} or {"error": "CLASS [Errno N] .."}."""
        status = self.machine.status()
        names = {'ROOT': self.machine.root, 'GOOD': self.port('good'),
                 'HTTP': status['httpPort'], 'EXTRA': self.extra}
        text = ''.join(f'{n} = {v!r}\n' for n, v in names.items()) + code
        answer = requests.post(
            f'http://127.0.0.1:{status["httpPort"]}/', data=text,
            headers={'Host': 'evil.localhost'}, timeout=60 * paths.SLOWNESS)
        if answer.status_code != 200:
            return {'gone': answer.status_code}
        return answer.json()

    def port(self, project):
        return self.machine.process(project + '/')['port']


class Neighbour(threading.Thread):
    """Asks `good` until told to stop; every answer has to be right."""

    def __init__(self, machine):
        super().__init__(daemon=True)
        self.machine, self.answers, self.failure = machine, 0, None
        self._told = threading.Event()

    def run(self):
        try:
            while not self._told.wait(0.05):
                answer = self.machine.get(host='good.localhost')
                assert answer.status_code == 200, answer.text
                assert answer.json()['text'] == 'good'
                self.answers += 1
        except Exception as e:
            self.failure = e

    def finish(self):
        self._told.set()
        self.join()
        assert self.failure is None, repr(self.failure)


def as_user(words):
    return ['setpriv', '--reuid', str(STRANGER), '--regid', str(STRANGER),
            '--clear-groups', *words]


def lent_user():
    """The words that make the controller an ordinary user's."""
    if os.getuid() != 0:
        return []
    if not shutil.which('setpriv'):
        pytest.skip('setpriv is missing')
    if subprocess.run(as_user(['test', '-x', CONTROLLER])).returncode:
        pytest.skip('an ordinary user cannot get at the build')
    return as_user([])


@pytest.fixture(scope='module', params=['root', 'user'])
def harm(request, cache):
    if request.param == 'root' and os.getuid() != 0:
        pytest.skip('not root')
    folder = tempfile.mkdtemp(prefix='appscale-sandbox.')
    machine = None
    try:
        if request.param == 'root':
            machine = Machine(folder, cache)
        else:
            machine = Machine(folder, os.path.join(folder, 'shared'),
                              prefix=lent_user())
            if os.getuid() == 0:
                subprocess.run(['chown', '-R', f'{STRANGER}:{STRANGER}',
                                folder], check=True)
        yield Harm(machine)
    finally:
        if machine:
            machine.erase()
        shutil.rmtree(folder)


@pytest.fixture
def neighbour(harm):
    before = harm.machine.process('good/')
    n = Neighbour(harm.machine)
    n.start()
    yield n
    n.finish()
    after = harm.machine.process('good/')
    assert (after['pid'], after['restarts']) == \
        (before['pid'], before['restarts'])


# ---- what it has from the start ----

def test_it_inherits_no_descriptor(harm):
    """Its standard three, and the connections that it has accepted itself."""
    answer = harm.evil('''
def own(n):
    try:
        with socket.socket(fileno=os.dup(n)) as s:
            return s.getsockname()[1] == int(os.environ["PORT"])
    except (OSError, IndexError):
        return False
out = [os.readlink(f"/proc/self/fd/{n}") for n in map(int, os.listdir(
       "/proc/self/fd")) if n > 2 and os.path.exists(f"/proc/self/fd/{n}")
       and not own(n)]
''')
    assert answer == {'out': []}


# ---- what is not there, and what is refused ----

NOT_THERE = r'FileNotFoundError \[Errno 2\]'
READ_ONLY = r'OSError \[Errno 30\]'
DENIED = r'PermissionError \[Errno (1|13)\]'
REFUSED = r'ConnectionRefusedError \[Errno 111\]'

ATTEMPTS = {
    'list the store': ('os.listdir(ROOT + "/data")', NOT_THERE),
    'read the platform ticket':
        ('open(ROOT + "/run/platform.ticket").read()', NOT_THERE),
    'read the logs': ('os.listdir(ROOT + "/logs")', NOT_THERE),
    'talk to the controller': (
        'connected(socket.AF_UNIX, ROOT + "/run/controller.sock")',
        NOT_THERE),
    'ask haproxy': (
        'connected(socket.AF_UNIX, ROOT + "/run/haproxy.admin.sock")',
        NOT_THERE),
    'leave through the init process':
        ('os.listdir("/proc/1/root" + ROOT)', r'PermissionError'),
    'read the init process':
        ('open("/proc/1/mem", "rb").read(1)', r'PermissionError'),
    'look into a home': ('os.listdir("/root")', NOT_THERE),
    'look into /sys': ('os.listdir("/sys")', NOT_THERE),
    'change its own code': ('open("server.py", "a")', READ_ONLY),
    'make its code writable': ('os.chmod("server.py", 0o777)', READ_ONLY),
    'add to its build': (
        'open(os.environ["BUILD_DIR"] + "/x", "w")', READ_ONLY),
    'poison its cache': (
        'open(os.environ["CACHE_DIR"] + "/x", "w")', READ_ONLY),
    'write to the system': ('open("/etc/passwd", "a")',
                            READ_ONLY + '|' + DENIED),
    'make a device': ('os.mknod("/tmp/d", 0o60600, os.makedev(254, 0))',
                      DENIED),
    'become root': ('os.setuid(0)', DENIED + r'|OSError \[Errno 22\]'),
    'mount': ('call(165, b"none", b"/tmp", b"tmpfs", 0, None)', DENIED),
    'unmount': ('call(166, b"/proc", 2)', DENIED),
    'open a mount': ('call(428, -100, b"/", 1)', DENIED),
    'change its root': ('os.chroot("/tmp")', DENIED),
    'make a user namespace': ('call(272, 0x10000000)', DENIED),
    'enter a namespace': (
        'call(308, os.open("/proc/self/ns/net", 0), 0)', DENIED),
    'be traced': ('call(101, 0, 0, 0, 0)', DENIED),
    'trace its child': ('''
pid = os.fork()
if pid == 0:
    signal.pause()
try:
    call(101, 16, pid, 0, 0)
finally:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
''', DENIED),
    'read memory of others': ('call(310, 1, None, 0, None, 0, 0)', DENIED),
    'take descriptors of others': ('call(438, os.pidfd_open(1), 0, 0)',
                                   DENIED),
    'load a BPF program': ('call(321, 0, None, 0)', DENIED),
    'watch performance': ('call(298, None, 0, -1, -1, 0)', DENIED),
    'handle page faults': ('call(323, 0)', DENIED),
    'make an io_uring': ('call(425, 8, None)', DENIED),
    'use keys': ('call(250, 0, -3, 0)', DENIED),
    'load a module': ('call(175, None, 0, b"")', DENIED),
    'load a kernel': ('call(246, 0, 0, None, 0)', DENIED),
    'set the clock': ('time.clock_settime(0, 0)', DENIED),
    'change limits of others': (
        'resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))', DENIED),
    'make a 32-bit call it should not know': (
        'call(0x40000000 + 165)', r'OSError \[Errno 38\]'),
    'open a raw socket': (
        'socket.socket(socket.AF_INET, socket.SOCK_RAW, 6)', DENIED),
    'open a packet socket': (
        'socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)', DENIED),
    'open a virtual machine socket': (
        'socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)',
        r'OSError \[Errno 93\]'),
    'name an abstract socket': (
        'socket.socket(socket.AF_UNIX).bind("\\0evil")', DENIED),
    'connect to the neighbour': (
        'connected(socket.AF_INET, (LOOP, GOOD))', REFUSED),
    'connect to it by another loopback address': (
        'connected(socket.AF_INET, ("127.1.2.3", GOOD))', REFUSED),
    'connect to it by no address': (
        'connected(socket.AF_INET, ("0.0.0.0", GOOD))', REFUSED),
    'connect to it over IPv6': (
        'connected(socket.AF_INET6, ("::ffff:127.0.0.1", GOOD))', REFUSED),
    'connect to it by IPv6\'s no address': (
        'connected(socket.AF_INET6, ("::", GOOD))', REFUSED),
    'connect to it with its first bytes': (
        'socket.socket().sendto(b"GET / HTTP/1.0\\r\\n\\r\\n", 0x20000000, '
        '(LOOP, GOOD))', r'OSError \[Errno 95\]'),
    'the same with sendmsg()': (
        'socket.socket().sendmsg([b"x"], [], 0x20000000, (LOOP, GOOD))',
        r'OSError \[Errno 95\]'),
    'take the port of the next instance': (
        'socket.socket().bind((LOOP, GOOD + 7))', DENIED),
    'take the port of the front': (
        'socket.socket().bind(("0.0.0.0", HTTP))', DENIED),
    'take the port of the services': (
        'socket.socket().bind((LOOP, int(os.environ["API_PORT"])))', DENIED),
    'write a file of 2 GiB': ('''
with open("/tmp/big", "w") as f:
    try:
        os.pwrite(f.fileno(), b"x", 2 << 30)
    finally:
        os.unlink("/tmp/big")
''', r'OSError \[Errno 27\]'),
}


@pytest.mark.parametrize('attempt', ATTEMPTS)
def test_an_attempt_is_refused(harm, attempt):
    code, want = ATTEMPTS[attempt]
    answer = harm.evil(code)
    assert re.match(want, answer.get('error', 'done')), answer


def test_what_another_project_listens_on_is_refused(harm):
    if harm.machine.prefix or os.getuid() != 0:
        pytest.skip('an ordinary user\'s projects are one user')
    for address in 'LOOP, EXTRA', '"127.9.9.9", EXTRA':
        answer = harm.evil(f'connected(socket.AF_INET, ({address}))')
        assert re.match(REFUSED, answer.get('error', 'done')), answer
    answer = harm.evil(
        'connected(socket.AF_INET6, ("::ffff:127.0.0.1", EXTRA))')
    assert re.match(REFUSED, answer.get('error', 'done')), answer
    # What no project listens on is the machine's, and open.
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        assert 'error' not in harm.evil(
            f'out = connected(socket.AF_INET, (LOOP, {port}))')
    # And its own second port is its own.
    assert harm.evil('''
own = socket.create_server((LOOP, 0))
out = connected(socket.AF_INET, own.getsockname())[0]''') == {
        'out': '127.0.0.1'}


def test_it_sees_the_way_to_its_own_files_alone(harm):
    seen = harm.evil('''
out = {f: os.listdir(ROOT + f) for f in ("", "/apps", "/apps/evil/default")}
''')['out']
    assert set(seen.pop('')) <= {'apps', 'cache', 'shared'}
    assert seen == {'/apps': ['evil'], '/apps/evil/default': ['one']}


def test_it_sees_its_own_processes_alone(harm):
    seen = harm.evil('''
def read(pid):
    try:
        return open(f"/proc/{pid}/environ").read()
    except OSError as e:
        return str(e)
out = {pid: read(pid) for pid in os.listdir("/proc") if pid.isdigit()}
''')['out']
    assert set(seen) == {'1', '2'}
    assert SECRET not in str(seen)


def test_it_has_no_rights_and_no_groups(harm):
    seen = harm.evil('''
lines = dict(l.split(":\\t") for l in open("/proc/self/status")
             if l[:3] in ("Cap", "NoN", "Sec", "Uid"))
out = {"groups": os.getgroups(), **{k: v.split() for k, v in lines.items()}}
''')['out']
    assert {seen[f'Cap{kind}'][0] for kind in ('Inh', 'Prm', 'Eff', 'Amb')} \
        == {'0' * 16}
    assert seen['NoNewPrivs'] == ['1'] and seen['Seccomp'] == ['2']
    if os.getuid() == 0 and harm.machine.prefix == ():
        assert seen['groups'] == [] and int(seen['Uid'][0]) >= 2000000000


def test_static_files_are_for_browsers(harm):
    seen = harm.evil('out = [os.listdir("static"), os.listdir("both"), '
                     'os.listdir("some")]')['out']
    assert seen == [[], ['page'], ['page.txt']]
    assert harm.machine.get('/static/page', host='evil.localhost').text == \
        'for browsers'


def test_what_it_needs_is_there(harm):
    """The other way round: what a confined application does all day."""
    seen = harm.evil('''
import subprocess, tempfile, multiprocessing
out = {}
with tempfile.NamedTemporaryFile("w") as f:
    f.write("x" * 1000)
out["shell"] = subprocess.run("echo $((6 * 7)); pwd; echo $HOME", shell=True,
    capture_output=True, text=True).stdout.split()
out["cwd"] = os.getcwd()
lock = multiprocessing.Lock()           # in /dev/shm
server = socket.create_server(("", 0))
out["self"] = connected(socket.AF_INET, (LOOP, server.getsockname()[1]))[1] \\
    == server.getsockname()[1]
device = server.getsockopt(socket.SOL_SOCKET, 25, 16)
out["device"] = device.rstrip(b"\\0").decode()
server = socket.socket(socket.AF_UNIX)
os.chdir("/tmp")
server.bind("here.sock")                # relative paths, too
server.listen()
out["unix"] = connected(socket.AF_UNIX, "/tmp/here.sock")
os.chdir(out["cwd"])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((LOOP, 0))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
    b"hello", udp.getsockname())
out["udp"] = udp.recv(9).decode()
out["interfaces"] = len(socket.if_nameindex()) > 0
out["localhost"] = socket.getaddrinfo("localhost", 80)[0][4][1]
''')
    seen = seen.get('out', seen)
    assert seen == {
        'shell': ['42', seen.get('cwd'), '/tmp'], 'cwd': seen.get('cwd'),
        'self': True, 'device': 'lo', 'unix': 'here.sock',
        'udp': 'hello', 'interfaces': True, 'localhost': 80}


def test_sockets_of_the_machine_in_no_file_system_are_out_of_reach(harm):
    name = f'\0appscale-test-{os.getpid()}'
    with socket.socket(socket.AF_UNIX) as stream, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        stream.bind(name)
        stream.listen()
        datagram.bind(name + 'd')
        answer = harm.evil(f'connected(socket.AF_UNIX, {name!r})')
        assert re.match(DENIED, answer['error']), answer
        answer = harm.evil('socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)'
                           f'.sendto(b"x", {name + "d"!r})')
        assert re.match(DENIED, answer['error']), answer


def test_changing_an_address_under_way_is_of_no_use(harm):
    """A thread changes the port between a closed one and one that is open."""
    seen = harm.evil('''
server = socket.create_server((LOOP, 0), backlog=1000)
mine = server.getsockname()[1]
def address(port):
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port),
                       bytes([127, 0, 0, 1]))
memory = ctypes.create_string_buffer(address(mine), 16)
at = ctypes.addressof(memory)
good, bad = address(mine), address(GOOD)
over = threading.Event()
def change():
    while not over.is_set():
        ctypes.memmove(at, bad, 16)
        ctypes.memmove(at, good, 16)
sys.setswitchinterval(1e-5)
thread = threading.Thread(target=change)
thread.start()
peers, refused = [], 0
for i in range(1000):
    with socket.socket() as s:
        if libc.connect(s.fileno(), ctypes.c_void_p(at), 16) == 0:
            peers.append(s.getpeername()[1])
        else:
            refused += 1
over.set()
thread.join()
out = [mine, sorted(set(peers)), refused]
''')['out']
    mine, peers, refused = seen
    assert peers == [mine] and refused > 0


# ---- forgeries ----

@pytest.mark.parametrize('ticket', [
    None, '', 'x', 'A.1', '0' * 48 + '.1', '../run/platform.ticket'])
def test_a_ticket_cannot_be_guessed(harm, ticket):
    envelope = remote_api.Request(
        service_name='datastore_v3', method='GetSchema', request=b'',
        **({} if ticket is None else {'request_id': ticket}))
    body = harm.evil(f'''
c = http.client.HTTPConnection(LOOP, int(os.environ["API_PORT"]))
c.request("POST", "/rpc_http", bytes.fromhex(
    "{envelope.SerializeToString().hex()}"))
out = c.getresponse().read().hex()
''')['out']
    answer = remote_api.Response.FromString(bytes.fromhex(body))
    assert answer.HasField('rpc_error') and not answer.HasField('response')


def test_headers_cannot_be_forged_for_the_neighbour(harm):
    seen = harm.evil('''
c = http.client.HTTPConnection(LOOP, HTTP)
c.request("GET", "/", headers={
    "Host": "good.localhost", "X-Appengine-User-Email": "boss@example.com",
    "X-Appengine-Cron": "true", "X-Appengine-QueueName": "q",
    "X-Appengine-User-Is-Admin": "1", "X-Appscale-Backend": "evil",
    "X-Appengine-Inbound-Appid": "trusted"})
out = json.loads(c.getresponse().read())
''')['out']
    headers = {name.lower(): value for name, value in seen['headers']}
    assert seen['text'] == 'good'
    assert not headers.get('x-appengine-user-email')
    assert headers.get('x-appengine-user-is-admin', '0') == '0'
    assert not {'x-appengine-cron', 'x-appengine-queuename',
                'x-appengine-inbound-appid'} & set(headers)


# ---- taking more than its share: the neighbour is asked meanwhile ----

def test_it_cannot_fork_without_end(harm, neighbour):
    seen = harm.evil('''
pids = []
try:
    for i in range(5000):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        pids.append(pid)
except OSError as e:
    out = [len(pids), e.errno]
finally:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
''')['out']
    assert 100 < seen[0] < 512 and seen[1] == 11, seen


def test_it_cannot_fill_the_memory(harm, neighbour):
    if 'memory' in harm.missing:
        pytest.skip('this machine grants no control group for memory')
    answer = harm.evil('''
def fill():
    held = [bytearray(16 << 20) for i in range(128)]
out = in_child(fill)
''')
    # The kernel has killed the child, or the controller the whole instance.
    assert 'gone' in answer or os.WTERMSIG(answer['out']) == 9, answer
    assert harm.evil('out = "back"')['out'] == 'back'


@pytest.mark.parametrize('folder', ['/tmp', '/dev/shm'])
def test_it_cannot_fill_the_disk(harm, neighbour, folder):
    seen = harm.evil(f'''
import errno
written = 0
try:
    with open("{folder}/full", "wb") as f:
        while True:
            written += os.write(f.fileno(), bytes(1 << 20))
except OSError as e:
    out = [written >> 20, errno.errorcode[e.errno]]
finally:
    os.unlink("{folder}/full")
''')['out']
    assert 64 <= seen[0] <= 192 and seen[1] == 'ENOSPC', seen


def test_it_cannot_keep_the_processors(harm, neighbour):
    seen = harm.evil('''
def spin():
    until = time.monotonic() + 2
    while time.monotonic() < until:
        pass
pids = []
for i in range(20):
    pid = os.fork()
    if pid == 0:
        spin()
        os._exit(0)
    pids.append(pid)
out = [os.waitpid(pid, 0)[1] for pid in pids]
''')['out']
    assert seen == [0] * 20
    assert neighbour.answers > 0


def test_it_leaves_no_core(harm):
    status = harm.evil('''
os.chdir("/tmp")
out = in_child(os.abort)
os.chdir(os.environ["APP_DIR"])
''')['out']
    assert os.WTERMSIG(status) == 6 and not os.WCOREDUMP(status)


def test_the_neighbour_has_been_left_alone(harm):
    status = harm.machine.status()
    assert harm.machine.get(host='good.localhost').json()['text'] == 'good'
    assert all(p['restarts'] == 0 for p in status['processes']
               if not p['name'].startswith('evil/'))
