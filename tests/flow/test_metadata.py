"""A deployed application asks its metadata server, by itself and through
Google's libraries; others ask in vain."""
import pytest
import requests

from flow.sdkapp import value

SCOPE = 'https://www.googleapis.com/auth/taskqueue'


@pytest.fixture
def m(with_sdk):
    return with_sdk


def base(m, host='demo.localhost'):
    return 'http://' + value(m, 'os.environ["GCE_METADATA_HOST"]', host)


def get(url, **headers):
    return requests.get(url, headers={'Metadata-Flavor': 'Google', **headers},
                        timeout=30)


def test_the_sdk_gets_a_token(m):
    token, end = value(
        m, f'app_identity.get_access_token(["{SCOPE}"])')
    assert token.startswith('as2.demo.')


def test_google_auth_finds_credentials(m):
    project, token, email = value(m, '''(lambda c: [
        c[0].refresh(google.auth.transport.requests.Request()),
        [c[1], c[0].token, c[0].service_account_email]])(
            google.auth.default())[1]''')
    assert project == 'demo'
    assert token.startswith('as2.demo.')
    assert email == 'demo@appspot.gserviceaccount.com'


def test_each_version_has_an_address_of_its_own(m):
    one, auto = base(m), base(m, 'auto.demo.localhost')
    assert one != auto
    path = '/computeMetadata/v1/instance/name'
    assert get(one + path).text == 'one.default.demo'
    assert get(auto + path).text == 'auto.auto.demo'


def test_who_does_not_know_an_address_gets_nothing(m):
    url, secret = base(m).rsplit('/', 1)
    path = '/computeMetadata/v1/project/project-id'
    ticket = value(m, 'os.environ["HTTP_X_APPENGINE_API_TICKET"]')
    for wrong in ('', 'x', secret[:-1], ticket.split('.')[0]):
        assert get(f'{url}/{wrong}{path}').status_code in (403, 404)
    api = url.split('/_appscale')[0]
    assert get(api + path).status_code == 404
    # The secret of the address is good for nothing else.
    assert secret not in ticket


def test_an_identity_token_shows_who_the_app_is(m):
    claims = value(m, f'''(lambda r: id_token.verify_token(
        id_token.fetch_id_token(r, "https://example.com"), r,
        "https://example.com",
        "http://127.0.0.1:{m.settings["http_port"]}/_ah/certs/demo"))(
            google.auth.transport.requests.Request())''')
    assert claims['email'] == 'demo@appspot.gserviceaccount.com'
    assert claims['iss'] == f'http://demo.localhost:{m.settings["http_port"]}'
