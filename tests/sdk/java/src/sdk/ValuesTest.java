package sdk;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.blobstore.BlobKey;
import com.google.appengine.api.datastore.Blob;
import com.google.appengine.api.datastore.Category;
import com.google.appengine.api.datastore.DatastoreServiceConfig;
import com.google.appengine.api.datastore.Email;
import com.google.appengine.api.datastore.EmbeddedEntity;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.GeoPt;
import com.google.appengine.api.datastore.IMHandle;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.Link;
import com.google.appengine.api.datastore.PhoneNumber;
import com.google.appengine.api.datastore.PostalAddress;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Query.FilterOperator;
import com.google.appengine.api.datastore.Query.FilterPredicate;
import com.google.appengine.api.datastore.Rating;
import com.google.appengine.api.datastore.ShortBlob;
import com.google.appengine.api.datastore.Text;
import com.google.appengine.api.users.User;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.Test;

/** Every type of value: back as it went in, and found by a filter. */
public class ValuesTest extends ApiTest {
    private Entity there(Entity e) throws Exception {
        return datastore.get(datastore.put(e));
    }

    /** In and out, indexed and not, alone and in a list. */
    private void comesBack(Object in, Object out) throws Exception {
        Entity e = entity("V", "v", "one", in, "many", list(in, in));
        e.setUnindexedProperty("raw", in);
        e.setUnindexedProperty("raws", list(in));
        Entity back = there(e);
        assertEquals(out, back.getProperty("one"));
        if (out != null) {
            assertEquals(out.getClass(), back.getProperty("one").getClass());
        }
        assertEquals(list(out, out), back.getProperty("many"));
        assertEquals(out, back.getProperty("raw"));
        assertTrue(back.isUnindexedProperty("raw"));
        assertEquals(list(out), back.getProperty("raws"));
        assertTrue(back.isUnindexedProperty("raws"));
    }

    private int found(FilterOperator how, Object value) {
        return datastore.prepare(new Query("V").setFilter(
            new FilterPredicate("one", how, value)))
            .asList(FetchOptions.Builder.withDefaults()).size();
    }

    /** As comesBack(), and an equality filter finds it. */
    private void isIndexed(Object in, Object out) throws Exception {
        comesBack(in, out);
        assertEquals(1, found(FilterOperator.EQUAL, in));
        assertEquals(1, found(FilterOperator.GREATER_THAN_OR_EQUAL, in));
        assertEquals(0, found(FilterOperator.LESS_THAN, in));
        assertFalse(datastore.get(key("V", "v")).isUnindexedProperty("one"));
    }

    private void isIndexed(Object value) throws Exception {
        isIndexed(value, value);
    }

    /** As comesBack(), and no filter can find it. */
    private void isNotIndexed(Object value) throws Exception {
        comesBack(value, value);
        assertTrue(datastore.get(key("V", "v")).isUnindexedProperty("one"));
        assertEquals(0, found(FilterOperator.GREATER_THAN_OR_EQUAL, null));
    }

    @Test
    public void whole() throws Exception {
        for (long n : new long[] {0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
            isIndexed(n);
        }
        isIndexed(7, 7L);
        isIndexed((short) -7, -7L);
        isIndexed((byte) 7, 7L);
    }

    @Test
    public void fractions() throws Exception {
        for (double d : new double[] {
                 0.0, -0.0, 1.5, -1e300, Double.MIN_VALUE,
                 Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY,
                 Double.NaN}) {
            isIndexed(d);
        }
        isIndexed(1.5f, 1.5);
    }

    @Test
    public void booleans() throws Exception {
        isIndexed(true);
        isIndexed(false);
    }

    @Test
    public void strings() throws Exception {
        for (String s : List.of("", "a", "Grüße\0 日本 \uD83D\uDE00",
                                "x".repeat(1500))) {
            isIndexed(s);
        }
    }

    @Test
    public void nulls() throws Exception {
        comesBack(null, null);
        assertTrue(datastore.get(key("V", "v")).hasProperty("one"));
        assertEquals(1, found(FilterOperator.EQUAL, null));
        assertEquals(0, found(FilterOperator.GREATER_THAN, null));
    }

    @Test
    public void dates() throws Exception {
        for (long ms : new long[] {0, -1, 1768000000123L, -62135596800000L}) {
            isIndexed(new Date(ms));
        }
    }

    @Test
    public void shortBlobs() throws Exception {
        isIndexed(new ShortBlob(new byte[] {0, -1, 127, -128}));
        isIndexed(new ShortBlob(new byte[0]));
    }

    @Test
    public void blobs() throws Exception {
        isNotIndexed(new Blob(new byte[] {0, -1, 127, -128}));
        isNotIndexed(new Blob(new byte[100000]));
    }

    @Test
    public void texts() throws Exception {
        isNotIndexed(new Text("Grüße"));
        isNotIndexed(new Text(""));
        isNotIndexed(new Text("日".repeat(20000)));
    }

    @Test
    public void links() throws Exception {
        isIndexed(new Link("http://example.com/ä?b=c#d"));
    }

    @Test
    public void emails() throws Exception {
        isIndexed(new Email("jo@example.com"));
    }

    @Test
    public void phoneNumbers() throws Exception {
        isIndexed(new PhoneNumber("+49 89 1234"));
    }

    @Test
    public void postalAddresses() throws Exception {
        isIndexed(new PostalAddress("1 Way\nTown"));
    }

    @Test
    public void categories() throws Exception {
        isIndexed(new Category("music"));
    }

    @Test
    public void instantMessageHandles() throws Exception {
        isIndexed(new IMHandle(IMHandle.Scheme.xmpp, "jo@example.com"));
    }

    @Test
    public void blobKeys() throws Exception {
        isIndexed(new BlobKey("blob"));
    }

    @Test
    public void ratings() throws Exception {
        isIndexed(new Rating(0));
        isIndexed(new Rating(100));
    }

    @Test
    public void points() throws Exception {
        isIndexed(new GeoPt(-89.5f, 179.25f));
        isIndexed(new GeoPt(0, 0));
    }

    @Test
    public void keys() throws Exception {
        isIndexed(key("Other", "ä"));
        isIndexed(new Entity("Leaf", 7, key("Root", "r")).getKey());
    }

    @Test
    public void users() throws Exception {
        isIndexed(new User("jo@example.com", "gmail.com"));
        isIndexed(new User("jo@example.com", "gmail.com", "42"));
    }

    @Test
    public void aUserKeepsItsId() throws Exception {
        User user = new User("jo@example.com", "gmail.com", "4242");
        User back = (User) there(entity("V", "v", "u", user)).getProperty("u");
        assertEquals("jo@example.com", back.getEmail());
        assertEquals("gmail.com", back.getAuthDomain());
        assertEquals("jo", new User("jo@gmail.com", "gmail.com").getNickname());
    }

    @Test
    public void listsOfManyTypesKeepTheirOrder() throws Exception {
        List<Object> values = list(
            3L, "b", 1L, null, new Email("e@x.org"), true, 1L, 2.5,
            new Date(5), new ShortBlob(new byte[] {1}), key("K", "k"),
            new GeoPt(1, 2), new Rating(3), "a");
        assertEquals(values,
                     there(entity("V", "v", "l", values)).getProperty("l"));
    }

    @Test
    public void aSetComesBackAsAList() throws Exception {
        Set<Object> in = new LinkedHashSet<>(Arrays.asList(3L, 1L, 2L));
        Object out = there(entity("V", "v", "s", in)).getProperty("s");
        assertEquals(in, new HashSet<>((List<?>) out));
    }

    @Test
    public void anEmptyListComesBackAsNull() throws Exception {
        Entity back = there(
            entity("V", "v", "l", Collections.emptyList()));
        assertTrue(back.hasProperty("l"));
        assertNull(back.getProperty("l"));
    }

    @Test
    public void anEmptyListMayBeAskedFor() throws Exception {
        String name = DatastoreServiceConfig.DATASTORE_EMPTY_LIST_SUPPORT;
        System.setProperty(name, "true");
        try {
            Entity e = entity("V", "v", "one", Collections.emptyList());
            e.setUnindexedProperty("raw", Collections.emptyList());
            Entity back = there(e);
            assertEquals(list(), back.getProperty("one"));
            assertEquals(list(), back.getProperty("raw"));
            if (System.getenv("APPSCALE_REFERENCE") == null) {
                assertEquals(0, found(
                    FilterOperator.GREATER_THAN_OR_EQUAL, null));
            }
        } finally {
            System.clearProperty(name);
        }
    }

    @Test
    public void aListOfLargeThingsIsNotIndexed() throws Exception {
        List<Object> values = list(new Text("a"), new Text("b".repeat(5000)),
                                   new Blob(new byte[] {1}));
        Entity back = there(entity("V", "v", "one", values));
        assertEquals(values, back.getProperty("one"));
        assertTrue(back.isUnindexedProperty("one"));
    }

    private static EmbeddedEntity inner(boolean indexed) {
        EmbeddedEntity innermost = new EmbeddedEntity();
        innermost.setProperty("when", new Date(5));
        EmbeddedEntity inner = new EmbeddedEntity();
        inner.setKey(key("Inner", "i"));
        inner.setProperty("n", 7L);
        inner.setProperty("l", list("a", null, 1.5));
        inner.setUnindexedProperty("t", new Text("text"));
        if (indexed) {
            inner.setIndexedProperty("e", innermost);
        } else {
            inner.setUnindexedProperty("e", innermost);
        }
        return inner;
    }

    @Test
    public void embeddedEntities() throws Exception {
        EmbeddedEntity inner = inner(false);
        Entity back = there(entity("V", "v", "e", inner,
                                   "l", list(inner, inner)));
        EmbeddedEntity e = (EmbeddedEntity) back.getProperty("e");
        assertEquals(inner, e);
        assertEquals(key("Inner", "i"), e.getKey());
        assertEquals(inner.getProperties(), e.getProperties());
        assertEquals(list(inner, inner), back.getProperty("l"));
        assertTrue(back.isUnindexedProperty("e"));
        assertEquals(0, counted("e.n", 7L));
    }

    private int counted(String property, Object value) {
        return datastore.prepare(new Query("V").setFilter(
            new FilterPredicate(property, FilterOperator.EQUAL, value)))
            .countEntities(FetchOptions.Builder.withDefaults());
    }

    @Test
    public void anIndexedEmbeddedEntityIsFoundByItsProperties()
            throws Exception {
        notOnTheReference();
        Entity e = new Entity("V", "v");
        EmbeddedEntity inner = inner(true);
        e.setIndexedProperty("e", inner);
        Entity back = there(e);
        assertEquals(inner, back.getProperty("e"));
        assertFalse(back.isUnindexedProperty("e"));
        assertEquals(1, counted("e.n", 7L));
        assertEquals(1, counted("e.l", "a"));
        assertEquals(1, counted("e.l", null));
        assertEquals(1, counted("e.__key__", key("Inner", "i")));
        assertEquals(1, counted("e.e.when", new Date(5)));
        assertEquals(0, counted("e.t", "text"));
        assertEquals("v", names(datastore.prepare(
            new Query("V").addSort("e.n")).asIterable()));
        inner.setProperty("n", 8L);
        back.setIndexedProperty("e", list(inner(true), inner));
        datastore.put(back);
        assertEquals(1, counted("e.n", 8L));
        datastore.delete(back.getKey());
        assertEquals(0, counted("e.n", 7L));
    }

    @Test
    public void whatIsUnindexedIsNotFound() throws Exception {
        Entity e = new Entity("V", "v");
        e.setUnindexedProperty("one", 7L);
        datastore.put(e);
        assertEquals(0, found(FilterOperator.EQUAL, 7L));
        e.setIndexedProperty("one", 7L);
        datastore.put(e);
        assertEquals(1, found(FilterOperator.EQUAL, 7L));
    }

    @Test
    public void aLongStringGoesIntoAText() throws Exception {
        assertThrows(IllegalArgumentException.class,
                     () -> entity("V", "v", "s", "x".repeat(1501)));
        assertThrows(IllegalArgumentException.class,
                     () -> new Entity("V", "v").setUnindexedProperty(
                         "s", "x".repeat(1501)));
        Text text = new Text("x".repeat(1501));
        assertEquals(text, there(entity("V", "v", "s", text)).getProperty("s"));
    }

    @Test
    public void bytesStayBytes() throws Exception {
        byte[] all = new byte[256];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) i;
        }
        Entity back = there(entity("V", "v", "b", new Blob(all),
                                   "s", new ShortBlob(all)));
        assertArrayEquals(all, ((Blob) back.getProperty("b")).getBytes());
        assertArrayEquals(all, ((ShortBlob) back.getProperty("s")).getBytes());
    }

    @Test
    public void aNameOfAPropertyMayBeAnything() throws Exception {
        Entity e = entity("V", "v", "ä b.c", 1L, "y", 2L, "-", 3L);
        assertEquals(e.getProperties(), there(e).getProperties());
        Key key = key("V", "v");
        Query query = new Query("V").setFilter(
            new FilterPredicate("ä b.c", FilterOperator.EQUAL, 1L));
        assertEquals(key, datastore.prepare(query).asSingleEntity().getKey());
    }
}
