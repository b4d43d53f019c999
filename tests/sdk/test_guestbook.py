"""examples/guestbook as it is, in its own process, against the emulator.

The edge is played by the test: it sends the ticket and, for a visitor who is
signed in, the user headers.
"""
import http.cookiejar
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

import pytest

from lib import paths, sdk
from lib.emulator import Emulator
from lib.ports import free_port
from lib.process import Process

GUESTBOOK = os.path.join(paths.EXAMPLES, 'guestbook')


@pytest.fixture(scope='module')
def guestbook():
    """Its address, served by gunicorn as the platform serves it."""
    port = free_port()
    with Emulator(project='guestbook', appdir=GUESTBOOK) as emulator:
        server = Process(
            [sys.executable, '-m', 'gunicorn', '-b', f'127.0.0.1:{port}',
             '--threads', '4', 'main:app'], cwd=GUESTBOOK, name='gunicorn',
            env={**sdk.environment(emulator.host, emulator.port, 'guestbook'),
                 'PYTHONDONTWRITEBYTECODE': '1'})
        try:
            server.wait_line('Listening at')
            yield f'http://127.0.0.1:{port}'
        finally:
            server.stop()


class Visitor:
    """A browser behind an edge that knows who sits in front of it."""

    def __init__(self, address, email=None):
        self.address = address
        self.headers = {'X-Appengine-Api-Ticket': 'ticket',
                        'X-Appengine-Auth-Domain': 'gmail.com',
                        'X-Appengine-User-Email': email or '',
                        'X-Appengine-User-Id': str(abs(hash(email))),
                        'X-Appengine-User-Is-Admin': '0'}
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path='/', form=None):
        """Status and text; a form makes it a POST."""
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.address + path, data,
                                         self.headers)
        try:
            with self.opener.open(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def page(self, book):
        status, text = self.get('/?' + urllib.parse.urlencode({'book': book}))
        assert status == 200, text
        return text

    def sign(self, book, content):
        csrf = re.search('name="csrf" value="([^"]+)"', self.page(book))[1]
        return self.get('/sign', {'csrf': csrf, 'book': book,
                                  'content': content})


def greetings(page):
    return re.findall(r'class="content">([^<]*)<', page)


def test_a_stranger_reads_and_is_asked_to_sign_in(guestbook):
    status, text = Visitor(guestbook).get('/')
    assert status == 200
    assert 'id="sign-in"' in text
    assert 'name="content"' not in text


def test_greetings_show_newest_first_as_soon_as_they_are_written(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    bob = Visitor(guestbook, 'bob@example.com')
    for i in range(3):
        status, text = ann.sign('order', f'number {i}')
        assert status == 200
        assert greetings(text)[0] == f'number {i}'
        assert greetings(bob.page('order')) == greetings(text)
    assert greetings(bob.page('order')) == ['number 2', 'number 1', 'number 0']


def test_the_list_ends_at_twenty(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    for i in range(21):
        ann.sign('many', str(i))
    assert greetings(ann.page('many')) == [str(i) for i in range(20, 0, -1)]


def test_books_do_not_see_each_other(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    ann.sign('one', 'here')
    assert greetings(ann.page('two')) == []


def test_what_visitors_write_stays_text(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    _, text = ann.sign('<i>', '<script>alert(1)</script> ü')
    assert '<script>' not in text and '<i>' not in text
    assert '&lt;script&gt;alert(1)&lt;/script&gt; ü' in text


def test_a_form_from_elsewhere_is_refused(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    ann.page('csrf')
    status, _ = ann.get('/sign', {'csrf': 'guess', 'book': 'csrf',
                                  'content': 'x'})
    assert status == 403
    assert greetings(ann.page('csrf')) == []


def test_too_long_greetings_and_names_are_refused(guestbook):
    ann = Visitor(guestbook, 'ann@example.com')
    assert ann.sign('long', 'x' * 1001)[0] == 400
    assert ann.get('/?book=' + 'b' * 101)[0] == 400
