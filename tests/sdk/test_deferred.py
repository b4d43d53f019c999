"""The SDK's deferred library in a real app: the tasks it adds come back."""
import itertools
import os
import sys
import time
import urllib.error
import urllib.request

import pytest

from lib import paths, sdk
from lib.emulator import Emulator, REFERENCE
from lib.ports import free_port
from lib.process import Process

pytestmark = pytest.mark.skipif(
    REFERENCE, reason="Google's stub sends nothing by itself")
numbers = itertools.count()


@pytest.fixture(scope='module')
def ask(tmp_path_factory):
    port = free_port()
    script = os.path.join(paths.ROOT, 'tests', 'sdk', 'app', 'deferred_app.py')
    with Emulator(project=sdk.PROJECT,
                  options=['--app-url', f'http://127.0.0.1:{port}']) as emu:
        app = Process([sys.executable, script], name='deferred app', env={
            **sdk.environment(emu.host, emu.port, sdk.PROJECT),
            'PORT': str(port)})
        try:
            app.wait_line('listening')

            def get(path, **headers):
                request = urllib.request.Request(
                    f'http://127.0.0.1:{port}{path}', headers={
                        'X-Appengine-Api-Ticket': 'ticket', **headers})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.read().decode()

            yield get
        finally:
            app.stop()
            app.kill_session()


def wait(ask, n, wanted):
    end = time.monotonic() + 20 * paths.SLOWNESS
    while ask(f'/look?n={n}') != wanted:
        assert time.monotonic() < end, ask(f'/look?n={n}')
        time.sleep(0.02)


def test_a_deferred_call_is_made(ask):
    n = f'n{next(numbers)}'
    assert ask(f'/defer?n={n}&size=10') == 'deferred'
    wait(ask, n, '1 10')


def test_a_large_one_goes_through_the_datastore(ask):
    n = f'n{next(numbers)}'
    ask(f'/defer?n={n}&size=200000')
    wait(ask, n, '1 200000')


def test_a_failure_is_tried_again(ask):
    n = f'n{next(numbers)}'
    ask(f'/defer?n={n}&fail=2')
    wait(ask, n, '3 0')


def test_a_permanent_failure_is_not(ask):
    n = f'n{next(numbers)}'
    ask(f'/defer?n={n}&fail=-1')
    wait(ask, n, '1 0')
    other = f'n{next(numbers)}'
    ask(f'/defer?n={other}')
    wait(ask, other, '1 0')
    assert ask(f'/look?n={n}') == '1 0'


def test_strangers_are_refused(ask):
    with pytest.raises(urllib.error.HTTPError) as error:
        ask('/_ah/queue/deferred')
    assert error.value.code in (403, 500)
