"""Headless Chromium through chromedriver's WebDriver protocol.

    with Browser() as browser:
        browser.open('http://...')
        browser.find('#sign').click()

find() waits, within the browser, until an element is there.
"""
import base64
import os
import shutil
import tempfile

import requests

from lib import paths
from lib.ports import free_port
from lib.process import Process

ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'     # the standard's own key
OPTIONS = [
    '--headless=new', '--no-sandbox', '--disable-gpu',
    '--disable-dev-shm-usage', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run',
    '--no-default-browser-check', '--disable-extensions',
    '--password-store=basic', '--window-size=1000,900',
    '--host-resolver-rules=MAP *.localhost 127.0.0.1',
]


class Element:
    def __init__(self, browser, identity):
        self._browser, self._id = browser, identity

    def _call(self, method, path, **body):
        return self._browser.call(method, f'element/{self._id}/{path}', **body)

    def click(self):
        self._call('POST', 'click')

    def type(self, text):
        self._call('POST', 'value', text=text)

    @property
    def text(self):
        return self._call('GET', 'text')


class Browser:
    def __init__(self):
        self._profile = tempfile.mkdtemp(prefix='appscale-browser.')
        port = free_port()
        self._driver = Process(['chromedriver', f'--port={port}'],
                               name='chromedriver',
                               env={'HOME': self._profile})
        self._session = None
        self._http = requests.Session()
        self._http.trust_env = False
        self._base = f'http://127.0.0.1:{port}'
        try:
            self._driver.wait_line('started successfully')
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self):
        answer = self._request('POST', f'{self._base}/session', {
            'capabilities': {'alwaysMatch': {
                'timeouts': {'implicit': 10000 * paths.SLOWNESS,
                             'pageLoad': 30000 * paths.SLOWNESS},
                'goog:chromeOptions': {'args': [
                    *OPTIONS, f'--user-data-dir={self._profile}/data']}}}})
        self._session = f'{self._base}/session/{answer["sessionId"]}'

    def _request(self, method, url, body=None):
        answer = self._http.request(method, url, json=body,
                                    timeout=90 * paths.SLOWNESS)
        value = answer.json()['value']
        if answer.status_code != 200:
            raise AssertionError(f'{value["error"]}: {value["message"]}')
        return value

    def call(self, method, path, **body):
        return self._request(method, f'{self._session}/{path}',
                             body if method == 'POST' else None)

    def open(self, url):
        self.call('POST', 'url', url=url)

    @property
    def url(self):
        return self.call('GET', 'url')

    @property
    def source(self):
        return self.call('GET', 'source')

    def find(self, css):
        found = self.call('POST', 'element', using='css selector', value=css)
        return Element(self, found[ELEMENT])

    def find_all(self, css):
        """What is there now; does not wait when there is something."""
        found = self.call('POST', 'elements', using='css selector', value=css)
        return [Element(self, f[ELEMENT]) for f in found]

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.call('GET', 'screenshot')))

    def output(self, lines=50):
        where = self.url if self._session else 'no session'
        return f'at {where}\n{self._driver.output(lines)}'

    def close(self):
        try:
            if self._session:
                self._request('DELETE', self._session)
        finally:
            self._session = None
            self._driver.stop()
            shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
