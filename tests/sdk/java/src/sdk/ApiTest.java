package sdk;

import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import com.google.appengine.api.NamespaceManager;
import com.google.appengine.api.datastore.DatastoreService;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.KeyFactory;
import com.google.appengine.api.datastore.Transaction;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.After;
import org.junit.Before;

/** What the tests share: an empty namespace for each, and short words. */
public abstract class ApiTest {
    private static final AtomicInteger numbers = new AtomicInteger();

    protected final DatastoreService datastore =
        DatastoreServiceFactory.getDatastoreService();
    protected String namespace;

    @Before
    public void enterAnEmptyNamespace() {
        namespace = "java" + numbers.incrementAndGet();
        NamespaceManager.set(namespace);
    }

    @After
    public void leaveNoTransaction() {
        for (Transaction txn : datastore.getActiveTransactions()) {
            txn.rollback();
        }
    }

    /** Not for the stubs: they lack what is tested, or are wrong in it. */
    protected static void notOnTheReference() {
        assumeTrue("the stub lacks it or is known to be wrong",
                   System.getenv("APPSCALE_REFERENCE") == null);
    }

    /** entity("Song", "a", "n", 1, "tag", "x"): kind, name, properties. */
    protected static Entity entity(String kind, String name, Object... values) {
        return fill(new Entity(kind, name), values);
    }

    protected static Entity fill(Entity e, Object... values) {
        for (int i = 0; i < values.length; i += 2) {
            e.setProperty((String) values[i], values[i + 1]);
        }
        return e;
    }

    protected static Key key(String kind, String name) {
        return KeyFactory.createKey(kind, name);
    }

    /** The names of the keys, blank between: what a query found, in order. */
    protected static String names(Iterable<Entity> found) {
        List<String> names = new ArrayList<>();
        found.forEach(e -> names.add(e.getKey().getName()));
        return String.join(" ", names);
    }

    protected static List<Object> list(Object... values) {
        return new ArrayList<>(Arrays.asList(values));
    }

    protected static void assertContains(String text, String part) {
        assertTrue('"' + text + "\" has no \"" + part + '"',
                   text != null && text.contains(part));
    }
}
