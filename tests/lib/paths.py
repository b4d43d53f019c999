"""Where things are.

The build under test is the folder that APPSCALE_BUILD names, `build` when it
is not set; a relative one is taken from the root of the checkout.
"""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get('APPSCALE_BUILD', 'build'))
APPSCALE = os.path.join(BUILD, 'bin', 'appscale')
EXAMPLES = os.path.join(ROOT, 'examples')

# A sanitizer slows a program down; waiting times are multiplied by this.
SLOWNESS = int(os.environ.get('APPSCALE_TEST_SLOWNESS', '1'))
