package sdk;

import static com.google.appengine.api.taskqueue.RetryOptions.Builder.withMinBackoffSeconds;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withPayload;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withUrl;
import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.taskqueue.DeferredTask;
import com.google.appengine.api.taskqueue.DeferredTaskContext;
import com.google.appengine.api.taskqueue.RetryOptions;
import com.google.appengine.api.taskqueue.TaskHandle;
import com.google.appengine.api.taskqueue.TaskOptions;
import com.google.appengine.api.taskqueue.TaskOptions.Method;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import javax.servlet.http.HttpServletRequest;
import org.junit.Test;

/** Push tasks on their way: the server sends them to this very instance. */
public class DeliveriesTest extends TaskTest {
    private final String name = unused();

    private TaskOptions task() {
        return withUrl("/work/" + name);
    }

    /** Soon again, or the test waits. */
    private static RetryOptions soon() {
        return withMinBackoffSeconds(0.01);
    }

    @Test
    public void aFormArrives() throws Exception {
        TaskHandle handle = normal.add(
            task().param("a", "Grüße & =").param("a", "2")
                .param("bytes", new byte[] {0, 'z'})
                .header("X-Mine", "yes"));
        Worker.Arrival came = Worker.await(name);
        assertEquals("POST", came.method);
        assertArrayEquals(new String[] {"Grüße & =", "2"},
                          came.params.get("a"));
        assertEquals("\0z", came.params.get("bytes")[0]);
        assertEquals("yes", came.headers.get("X-Mine"));
        assertEquals(handle.getName(), came.said("TaskName"));
        assertEquals("default", came.said("QueueName"));
        assertEquals("0", came.said("TaskRetryCount"));
        assertEquals("0", came.said("TaskExecutionCount"));
        assertNull(came.said("TaskPreviousResponse"));
        double eta = Double.parseDouble(came.said("TaskETA"));
        assertTrue("ETA " + eta, Math.abs(eta * 1000 - came.millis) < 60000);
    }

    @Test
    public void itRunsInTheNamespaceThatMadeIt() throws Exception {
        normal.add(task());
        assertEquals(namespace, Worker.await(name).namespace);
    }

    @Test
    public void aBodyArrives() throws Exception {
        byte[] body = {0, -1, 'x', '\r', '\n'};
        normal.add(task().method(Method.PUT).payload(body, "image/mine"));
        Worker.Arrival came = Worker.await(name);
        assertEquals("PUT", came.method);
        assertEquals("image/mine", came.headers.get("Content-Type"));
        assertArrayEquals(body, came.body);
        normal.add(task().payload("Grüße"));
        came = Worker.await(name);
        assertEquals("text/plain; charset=UTF-8",
                     came.headers.get("Content-Type"));
        assertEquals("Grüße", new String(came.body, StandardCharsets.UTF_8));
    }

    @Test
    public void aQueryArrives() throws Exception {
        for (Method method : List.of(Method.GET, Method.DELETE)) {
            normal.add(task().method(method).param("q", "ä b"));
            Worker.Arrival came = Worker.await(name);
            assertEquals(method.name(), came.method);
            assertEquals("ä b", came.params.get("q")[0]);
        }
    }

    @Test
    public void aTaskWithoutAUrlGoesToItsQueues() throws Exception {
        TaskHandle handle = normal.add();
        assertEquals(handle.getName(),
                     Worker.await("default").said("TaskName"));
    }

    @Test
    public void itsTimeIsAwaited() throws Exception {
        long before = System.currentTimeMillis();
        normal.add(task().countdownMillis(300));
        assertTrue(Worker.await(name).millis >= before + 300);
        untilEmpty(normal);
    }

    @Test
    public void aFailureIsTriedAgain() throws Exception {
        TaskHandle handle = normal.add(
            task().header("X-Failures", "2").retryOptions(soon()));
        for (int i = 0; i < 3; i++) {
            Worker.Arrival came = Worker.await(name);
            assertEquals(handle.getName(), came.said("TaskName"));
            assertEquals(i, came.retries());
            assertEquals(i == 0 ? null : "409",
                         came.said("TaskPreviousResponse"));
        }
        untilEmpty(normal);
        assertEquals(0, Worker.waiting(name));
    }

    @Test
    public void theLimitOfRetriesIsTheEnd() throws Exception {
        normal.add(task().header("X-Failures", "9")
                       .retryOptions(soon().taskRetryLimit(2)));
        untilEmpty(normal);
        assertEquals(3, Worker.waiting(name));
    }

    @Test
    public void ofATransactionAfterTheCommit() throws Exception {
        String plain = unused();
        Transaction txn = datastore.beginTransaction();
        datastore.put(txn, entity("T", "t", "n", 1L));
        normal.add(task());
        normal.add(null, withUrl("/work/" + plain));
        Worker.await(plain);
        assertEquals(0, Worker.waiting(name));
        txn.commit();
        Worker.await(name);
        assertEquals(1L, datastore.get(key("T", "t")).getProperty("n"));
    }

    // ---- deferred ----

    /** A task that is an object: it travels, runs, and may fail. */
    private static class Later implements DeferredTask {
        private static final long serialVersionUID = 1;
        private final String name;
        private final int failures;
        private final boolean thrown, forGood;

        Later(String name, int failures, boolean thrown, boolean forGood) {
            this.name = name;
            this.failures = failures;
            this.thrown = thrown;
            this.forGood = forGood;
        }

        @Override
        public void run() {
            try {
                HttpServletRequest request =
                    DeferredTaskContext.getCurrentRequest();
                if (Worker.arrived(name, request).retries() < failures) {
                    fail();
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private void fail() {
            DeferredTaskContext.setDoNotRetry(forGood);
            if (thrown) {
                throw new IllegalStateException("as the test wants");
            }
            DeferredTaskContext.markForRetry();
        }
    }

    private void defer(Later task) {
        normal.add(withPayload(task).retryOptions(soon()));
    }

    @Test
    public void aDeferredTaskRuns() throws Exception {
        TaskHandle handle =
            normal.add(withPayload(new Later(name, 0, false, false)));
        Worker.Arrival came = Worker.await(name);
        assertEquals(handle.getName(), came.said("TaskName"));
        assertEquals(namespace, came.namespace);
        untilEmpty(normal);
    }

    @Test
    public void whatADeferredTaskThrowsIsAFailure() throws Exception {
        defer(new Later(name, 2, true, false));
        for (int i = 0; i < 3; i++) {
            assertEquals(i, Worker.await(name).retries());
        }
    }

    @Test
    public void aDeferredTaskAsksForAnotherTry() throws Exception {
        defer(new Later(name, 1, false, false));
        assertEquals(0, Worker.await(name).retries());
        assertEquals(1, Worker.await(name).retries());
        untilEmpty(normal);
    }

    @Test
    public void aDeferredTaskFailsForGood() throws Exception {
        defer(new Later(name, 9, true, true));
        Worker.await(name);
        untilEmpty(normal);
        assertEquals(0, Worker.waiting(name));
    }

    @Test
    public void aDeferredTaskOfATransaction() throws Exception {
        Transaction lost = datastore.beginTransaction();
        defer(new Later(name, 0, false, false));
        lost.rollback();
        Transaction txn = datastore.beginTransaction();
        defer(new Later(name, 0, false, false));
        txn.commit();
        Worker.await(name);
        untilEmpty(normal);
        assertEquals(0, Worker.waiting(name));
    }
}
