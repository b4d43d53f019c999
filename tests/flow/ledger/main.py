"""An app for the flow tests: what it acknowledged, it must show for ever."""
from flask import Flask, jsonify, request
from google.appengine.api import wrap_wsgi_app
from google.appengine.ext import ndb

app = Flask(__name__)
app.wsgi_app = wrap_wsgi_app(app.wsgi_app)


class Entry(ndb.Model):
    _use_cache = _use_memcache = False
    pair = ndb.StringProperty()


@app.route('/')
def hello():
    return 'ledger'


@app.route('/put/<name>', methods=['POST'])
def put(name):
    """One entity."""
    Entry(id=name).put()
    return 'done'


@app.route('/pair/<name>', methods=['POST'])
def pair(name):
    """Two entities of two groups, in one transaction."""
    @ndb.transactional(xg=True)
    def both():
        ndb.put_multi([Entry(id=f'{name}.{side}', pair=name)
                       for side in ('left', 'right')])
    both()
    return 'done'


@app.route('/all')
def everything():
    """Names by entity and by index: both must say the same."""
    keys = [k.id() for k in Entry.query().fetch(keys_only=True)]
    entities = ndb.get_multi([ndb.Key('Entry', k) for k in keys])
    pairs = {}
    for e in Entry.query(Entry.pair >= '').fetch():
        pairs.setdefault(e.pair, []).append(e.key.id())
    return jsonify(keys=keys, lost=[k for k, e in zip(keys, entities)
                                    if e is None], pairs=pairs)
