"""Fixtures of all Python tests, and the logs of what failed."""
import pytest

from lib.emulator import Emulator


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """On failure show the tail of every program that a fixture runs."""
    report = (yield).get_result()
    if not report.failed:
        return
    for name, value in getattr(item, 'funcargs', {}).items():
        output = getattr(value, 'output', None)
        if callable(output):
            report.sections.append((f'output of {name}', output(100)))


@pytest.fixture(scope='session')
def emulator():
    """One emulator for every test that needs no own; project `sdk-tests`."""
    with Emulator(project='sdk-tests') as emu:
        yield emu
        assert emu.stop() == 0, emu.output()
