"""users: who is asking, and where to send whoever should sign in."""
import os
import urllib.parse

import pytest

from google.appengine.api import users


@pytest.fixture
def headers(api, monkeypatch):
    """What the edge tells the app about its visitor."""
    def put(**values):
        for name, value in values.items():
            monkeypatch.setitem(os.environ, name, value)
    for name in ('USER_EMAIL', 'USER_ID', 'USER_IS_ADMIN'):
        os.environ.pop(name, None)
    return put


@pytest.mark.parametrize('make, path', [
    (users.create_login_url, '/_ah/login'),
    (users.create_logout_url, None)])
@pytest.mark.parametrize('destination', [
    '/', '/a?b=c&d=%20', 'http://localhost:8080/x', '/ü'])
def test_the_address_leads_back(api, make, path, destination):
    url = urllib.parse.urlsplit(make(destination))
    assert path is None or url.path.endswith(path) or 'ogin' in url.path
    values = [v for vs in urllib.parse.parse_qs(url.query).values()
              for v in vs]
    wanted = urllib.parse.urlsplit(destination)
    assert any(urllib.parse.urlsplit(v).path == wanted.path or
               urllib.parse.unquote(urllib.parse.urlsplit(v).path) ==
               wanted.path for v in values)


@pytest.mark.skip_on_reference('the stub takes any length')
def test_a_destination_that_is_too_long_is_refused(api):
    with pytest.raises(users.RedirectTooLongError):
        users.create_login_url('/' + 'x' * 3000)


def test_nobody_is_signed_in(headers):
    assert users.get_current_user() is None
    assert not users.is_current_user_admin()


def test_a_visitor_has_a_name(headers):
    headers(USER_EMAIL='jo@example.com', USER_ID='42', AUTH_DOMAIN='gmail.com')
    user = users.get_current_user()
    assert (user.email(), user.user_id()) == ('jo@example.com', '42')
    assert not users.is_current_user_admin()


def test_an_administrator_is_one(headers):
    headers(USER_EMAIL='jo@example.com', USER_ID='42', AUTH_DOMAIN='gmail.com',
            USER_IS_ADMIN='1')
    assert users.is_current_user_admin()
