"""Random keys, entities and queries as protos of datastore_v3.

    dice = Dice(seed=1, app='s~project')
    dice.entity(), dice.query()

The pools are small on purpose: keys meet again, values repeat, and most
queries find something.  What a seed gives is the same in every run.
"""
import random

from google.appengine.datastore import datastore_v3_bytes_pb2 as ds
from google.appengine.datastore import entity_bytes_pb2 as pb

KINDS = ['A', 'B', 'Ünï']
NAMES = ['p', 'q', 'r']
NAMESPACES = ['', 'n1']
INF = float('inf')
Filter, Order = ds.Query.Filter, ds.Query.Order
INEQUALITIES = [Filter.LESS_THAN, Filter.LESS_THAN_OR_EQUAL,
                Filter.GREATER_THAN, Filter.GREATER_THAN_OR_EQUAL]
# (field of PropertyValue, value, meaning); a point or a user is a function.
SCALARS = [
    (None, None, 0),
    *[('int64Value', i, 0) for i in (-2**63, -1, 0, 1, 2, 7, 2**63 - 1)],
    ('int64Value', 1000000, pb.Property.GD_WHEN),
    ('int64Value', 4, pb.Property.GD_RATING),
    ('booleanValue', False, 0), ('booleanValue', True, 0),
    *[('stringValue', s, 0)
      for s in (b'', b'a', b'a\0', b'ab', 'é'.encode(), b'z' * 30)],
    ('stringValue', b'\xff\xfe\0\0', pb.Property.BYTESTRING),
    ('stringValue', b'http://x/', pb.Property.ATOM_LINK),
    ('stringValue', b'a@x.org', pb.Property.GD_EMAIL),
    *[('doubleValue', d, 0)
      for d in (-INF, -1.5, -0.0, 0.0, 1.0, 1.5, INF)],
    ('point', (-1.0, 2.0), pb.Property.GEORSS_POINT),
    ('point', (1.0, -2.0), pb.Property.GEORSS_POINT),
    ('user', 'a@x.org', 0), ('user', 'b@x.org', 0),
    ('key', None, 0),
]
RAW = [
    ('stringValue', 'text '.encode() * 400, pb.Property.TEXT),
    ('stringValue', bytes(range(256)), pb.Property.BLOB),
    ('stringValue', b'', pb.Property.EMPTY_LIST),
    ('int64Value', 3, 0), (None, None, 0), ('stringValue', b'a', 0),
]


class Dice(random.Random):
    def __init__(self, seed, app):
        super().__init__(seed)
        self.app = app

    def often(self, chance):
        return self.random() < chance

    # ---- keys ----

    def element(self, path, kind=None):
        e = path.element.add()
        e.type = kind or self.choice(KINDS)
        if self.often(0.6):
            e.id = self.choice([1, 2, 3, 10, 2**53])
        else:
            e.name = self.choice(['a', 'B', 'é', '10', 'a!'])

    def key(self, namespace=None, kind=None, root=None):
        """A complete key of one to three elements, below `root` if given."""
        key = pb.Reference(app=self.app)
        key.path.SetInParent()
        if root is not None:
            key.CopyFrom(root)
        else:
            space = (self.choice(NAMESPACES) if namespace is None
                     else namespace)
            if space:
                key.name_space = space
        for _ in range(self.choice([0, 0, 0, 1, 1, 2])):
            if len(key.path.element) < 2:
                self.element(key.path)
        if root is None or kind or len(key.path.element) < 2:
            self.element(key.path, kind)
        return key

    def root(self, namespace=None):
        """One of few entity groups."""
        key = pb.Reference(app=self.app)
        space = self.choice(NAMESPACES) if namespace is None else namespace
        if space:
            key.name_space = space
        e = key.path.element.add()
        e.type, e.id = self.choice(KINDS[:2]), self.choice([1, 2])
        return key

    # ---- values ----

    def fill(self, value, field, what, namespace=''):
        if field == 'point':
            value.pointvalue.x, value.pointvalue.y = what
        elif field == 'user':
            value.uservalue.email = what
            value.uservalue.auth_domain = 'gmail.com'
            value.uservalue.gaiaid = 0
        elif field == 'key':
            key = self.key(namespace)
            reference = value.referencevalue
            reference.app = key.app
            if key.name_space:
                reference.name_space = key.name_space
            for element in key.path.element:
                reference.pathelement.add(**{
                    f.name: v for f, v in element.ListFields()})
        elif field:
            setattr(value, field, what)

    def prop(self, properties, name, scalar, multiple=False):
        p = properties.add()
        field, what, meaning = scalar
        p.name, p.multiple = name, multiple
        if meaning:
            p.meaning = meaning
        p.value.SetInParent()
        self.fill(p.value, field, what)

    def entity(self, key=None):
        e = pb.EntityProto()
        e.key.CopyFrom(key or self.key())
        e.entity_group.element.add().CopyFrom(e.key.path.element[0])
        for name in NAMES:
            chance = self.random()
            if chance < 0.55:
                self.prop(e.property, name, self.scalar())
            elif chance < 0.75:
                for _ in range(self.randint(1, 3)):
                    self.prop(e.property, name, self.scalar(), True)
            elif chance < 0.85:
                self.prop(e.raw_property, name, self.choice(RAW))
        return e

    def scalar(self):
        """Small integers half of the time: values have to meet again."""
        if self.often(0.5):
            return ('int64Value', self.choice([0, 1, 2]), 0)
        return self.choice(SCALARS)

    # ---- queries ----

    def query(self, ancestor=None):
        q = ds.Query(app=self.app)
        space = (ancestor.name_space if ancestor
                 else self.choice(NAMESPACES))
        if space:
            q.name_space = space
        if ancestor or self.often(0.25):
            q.ancestor.CopyFrom(ancestor or self.root(space))
        if self.often(0.15):
            self._kindless(q)
        elif not ancestor and self.often(0.1):
            self._metadata(q)
        else:
            q.kind = self.choice(KINDS[:2])
            self._conditions(q)
        self._cut(q)
        return q

    def _metadata(self, q):
        """Not __kind__: to the stub a kind is there once it was asked for."""
        q.ClearField('ancestor')
        q.kind = '__property__'
        if self.often(0.3):
            self.order(q, '__key__', Order.ASCENDING)
        q.keys_only = self.often(0.5)

    def _kindless(self, q):
        if self.often(0.5):
            self.filter(q, '__key__', self.choice(INEQUALITIES))
        if self.often(0.3):
            self.order(q, '__key__', Order.ASCENDING)

    def filter(self, q, name, op):
        f = q.filter.add(op=op)
        p = f.property.add(name=name, multiple=False)
        if name == '__key__':
            self.fill(p.value, 'key', None, q.name_space)
        else:
            p.value.SetInParent()
            self.fill(p.value, *self.scalar()[:2])

    def order(self, q, name, direction=None):
        q.order.add(property=name, direction=direction or self.choice(
            [Order.ASCENDING, Order.DESCENDING]))

    def _conditions(self, q):
        names = [*NAMES]
        self.shuffle(names)
        equal = [names.pop() for _ in range(self.choice([0, 0, 0, 1, 1, 2]))]
        for name in equal:
            for _ in range(self.choice([1, 1, 1, 2])):
                self.filter(q, name, self.choice(
                    [Filter.EQUAL, Filter.EQUAL, Filter.IN]))
        unequal = None
        if self.often(0.35):
            unequal = self.choice([*names[:1], *names[:1], '__key__'])
            for op in self.sample(INEQUALITIES, self.choice([1, 1, 2])):
                self.filter(q, unequal, op)
        elif names and self.often(0.1):
            self.filter(q, self.choice(names), Filter.EXISTS)
        self._orders(q, names, unequal)
        if names and self.often(0.2):
            q.property_name.extend(self.sample(names, self.choice(
                [1, min(2, len(names))])))
            self._group(q, unequal)
        elif self.often(0.2):
            q.keys_only = True

    def _orders(self, q, names, unequal):
        if not self.often(0.5):
            return
        if unequal:
            self.order(q, unequal)
            if self.often(0.3):
                self.order(q, '__key__')
            return
        for name in names[:self.choice([0, 1, 1, 2])]:
            self.order(q, name)
        if self.often(0.3):
            self.order(q, '__key__')

    def _group(self, q, unequal):
        """Distinct rows, where the order given says which come first."""
        ordered = [o.property for o in q.order]
        if (self.often(0.4) and ordered and
                {*ordered} == {*q.property_name} and not unequal):
            q.group_by_property_name.extend(ordered)

    def _cut(self, q):
        if self.often(0.3):
            q.limit = self.choice([0, 1, 3, 10])
        if self.often(0.2):
            q.offset = self.choice([1, 3, 2**31 - 1])
        if self.often(0.4):
            q.count = self.choice([1, 2, 5])
        q.compile = True
