"""One platform with the guestbook on it, and a browser for each test."""
import os

import pytest

from lib import paths
from lib.browser import Browser
from lib.platform import Platform


@pytest.fixture(scope='session')
def platform(tmp_path_factory):
    p = Platform(str(tmp_path_factory.mktemp('cache')))
    try:
        p.up()
        p.deploy(os.path.join(paths.EXAMPLES, 'guestbook'))
        yield p
    finally:
        p.close()


@pytest.fixture
def browser():
    with Browser() as b:
        yield b
