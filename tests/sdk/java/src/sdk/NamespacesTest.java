package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.NamespaceManager;
import com.google.appengine.api.datastore.Entities;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Query.FilterOperator;
import com.google.appengine.api.datastore.Query.FilterPredicate;
import com.google.appengine.api.datastore.Text;
import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.memcache.MemcacheService;
import com.google.appengine.api.memcache.MemcacheServiceFactory;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import org.junit.Test;

/** Namespaces, and what a datastore tells of itself. */
public class NamespacesTest extends ApiTest {
    private List<String> found(Query query) {
        List<String> names = new ArrayList<>();
        for (Entity e : datastore.prepare(query).asIterable()) {
            names.add(e.getKey().getName());
        }
        return names;
    }

    @Test
    public void namespacesKeepApart() throws Exception {
        Key mine = datastore.put(entity("E", "e", "n", 1L));
        NamespaceManager.set(namespace + "-other");
        assertEquals(0, datastore.prepare(new Query("E")).countEntities(
            FetchOptions.Builder.withDefaults()));
        assertThrows(EntityNotFoundException.class,
                     () -> datastore.get(key("E", "e")));
        datastore.put(entity("E", "e", "n", 2L));
        // A key knows its own.
        assertEquals(1L, datastore.get(mine).getProperty("n"));
        assertEquals(namespace, mine.getNamespace());
    }

    @Test
    public void cachesKeepApart() {
        MemcacheService cache = MemcacheServiceFactory.getMemcacheService();
        cache.put("k", "mine");
        NamespaceManager.set(namespace + "-other");
        assertNull(cache.get("k"));
        cache.put("k", "other");
        assertEquals("mine", MemcacheServiceFactory
                                 .getMemcacheService(namespace).get("k"));
    }

    @Test
    public void aBadNameIsRefused() {
        assertThrows(IllegalArgumentException.class,
                     () -> NamespaceManager.set("no blanks"));
    }

    @Test
    public void namespacesAreListed() {
        datastore.put(entity("E", "e"));
        NamespaceManager.set("");
        assertTrue(found(new Query(Entities.NAMESPACE_METADATA_KIND))
                       .contains(namespace));
        assertEquals(List.of(namespace), found(
            new Query(Entities.NAMESPACE_METADATA_KIND).setFilter(
                new FilterPredicate(Entity.KEY_RESERVED_PROPERTY,
                                    FilterOperator.EQUAL,
                                    Entities.createNamespaceKey(namespace)))));
    }

    @Test
    public void kindsAreListed() {
        datastore.put(List.of(entity("B", "b"), entity("A", "a"),
                              entity("C", "c")));
        assertEquals(List.of("A", "B", "C"),
                     found(new Query(Entities.KIND_METADATA_KIND)));
        assertEquals(List.of("B", "C"), found(
            new Query(Entities.KIND_METADATA_KIND).setFilter(
                new FilterPredicate(Entity.KEY_RESERVED_PROPERTY,
                                    FilterOperator.GREATER_THAN,
                                    Entities.createKindKey("A")))));
        datastore.delete(key("C", "c"));
        assertEquals(List.of("A", "B"),
                     found(new Query(Entities.KIND_METADATA_KIND)));
    }

    @Test
    public void propertiesAreListed() {
        datastore.put(List.of(
            entity("A", "a", "s", "x", "n", 1, "t", new Text("raw")),
            entity("A", "b", "n", 1.5, "when", new Date()),
            entity("B", "b", "z", null)));
        assertEquals(List.of("n", "s", "when", "z"), found(
            new Query(Entities.PROPERTY_METADATA_KIND).setKeysOnly()));
        Query ofA = new Query(Entities.PROPERTY_METADATA_KIND)
            .setAncestor(Entities.createKindKey("A"));
        List<Entity> rows = datastore.prepare(ofA).asList(
            FetchOptions.Builder.withDefaults());
        assertEquals(3, rows.size());
        assertEquals(Entities.createPropertyKey("A", "n"),
                     rows.get(0).getKey());
        assertEquals(list("INT64", "DOUBLE"),
                     rows.get(0).getProperty("property_representation"));
        assertEquals(list("STRING"),
                     rows.get(1).getProperty("property_representation"));
    }

    private long version(Transaction txn, Key key) throws Exception {
        return Entities.getVersionProperty(
            datastore.get(txn, Entities.createEntityGroupKey(key)));
    }

    @Test
    public void theVersionOfAGroupGrows() throws Exception {
        notOnTheReference();
        Key root = datastore.put(entity("E", "e"));
        Key child = datastore.put(new Entity("Child", "c", root));
        long first = version(null, root);
        assertEquals(first, version(null, child));
        datastore.put(new Entity("Child", "d", root));
        long second = version(null, root);
        assertTrue(second + " after " + first, second > first);
        assertEquals(second, version(null, root));
        datastore.put(entity("E", "other"));
        assertEquals(second, version(null, root));
        datastore.delete(child);
        assertTrue(version(null, root) > second);
    }

    @Test
    public void aTransactionReadsTheVersion() throws Exception {
        notOnTheReference();
        Key root = datastore.put(entity("E", "e"));
        long before = version(null, root);
        Transaction txn = datastore.beginTransaction();
        assertEquals(before, version(txn, root));
        datastore.put(txn, new Entity("Child", "c", root));
        txn.commit();
        assertTrue(version(null, root) > before);
    }

    @Test
    public void metadataStaysOutOfOrdinaryQueries() {
        datastore.put(entity("E", "e"));
        assertEquals(List.of("e"), found(new Query()));
        assertFalse(found(new Query(Entities.KIND_METADATA_KIND))
                        .contains(Entities.KIND_METADATA_KIND));
    }
}
