"""system: the emulator's app, which is this program, asks about itself and has
background threads."""
import contextlib
import http.server
import os
import threading
import time

import pytest

from google.appengine.api import background_thread, runtime
from google.appengine.runtime import background

from lib import sdk
from lib.emulator import Emulator

pytestmark = pytest.mark.skip_on_reference('the stub makes figures up')


class Handler(http.server.BaseHTTPRequestHandler):
    """Does for /_ah/background what the SDK's middleware does."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        answer = background.Handle({
            'HTTP_X_APPENGINE_BACKGROUNDREQUEST':
                self.headers['X-AppEngine-BackgroundRequest']})
        self.send_response(answer['response_code'])
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def listening():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def app():
    """This program as the app of an emulator."""
    before = dict(os.environ)
    with listening() as server, Emulator(
            options=['--app-url', f'http://127.0.0.1:{server.server_port}']
    ) as emu:
        sdk.connect(emu.host, emu.port)
        yield server
        os.environ.clear()
        os.environ.update(before)
        assert emu.stop() == 0, emu.output()


def test_a_background_thread_outlives_its_request(app):
    done, held = threading.Event(), threading.Event()

    def work(first, second):
        held.wait()
        assert (first, second) == (1, 2)
        done.set()

    ident = background_thread.start_new_background_thread(
        work, (1,), {'second': 2})
    assert ident != threading.get_ident()
    path, headers = app.seen[0]
    assert path == '/_ah/background'
    assert headers['X-Appengine-User-Ip'] == '0.1.0.3'
    held.set()
    assert done.wait(30)


@pytest.mark.filterwarnings(  # what the thread was called in between
    'ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_background_thread_object_runs_and_is_joined(app):
    ran = []
    thread = background_thread.BackgroundThread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    assert ran == [1]


def test_an_instance_has_no_more_threads_than_its_limit(app):
    held = threading.Event()
    try:
        with pytest.raises(
                background_thread.BackgroundThreadLimitReachedError):
            for _ in range(101):
                background_thread.start_new_background_thread(held.wait, ())
    finally:
        held.set()


def test_without_an_address_there_are_no_background_threads(api):
    with pytest.raises(background_thread.FrontendsNotSupported):
        background_thread.start_new_background_thread(print, ())


def test_the_figures_are_those_of_this_program(api):
    before = runtime.cpu_usage()
    used = time.process_time()
    while time.process_time() < used + 0.2:
        pass
    cpu, memory = runtime.cpu_usage(), runtime.memory_usage()
    # Megacycles are counted at 1.2 GHz.
    assert 0.2 * 1200 * 0.9 <= cpu.total - before.total
    assert 0 < cpu.rate1m <= 1200 * os.cpu_count()
    assert 0 < cpu.rate10m <= 1200 * os.cpu_count()
    with open('/proc/self/statm', encoding='ascii') as f:
        resident = int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE') / 2**20
    # Programs that this one has started, the emulator among them, are its.
    assert memory.current >= 0.9 * resident
    assert memory.average1m > 0 and memory.average10m > 0
