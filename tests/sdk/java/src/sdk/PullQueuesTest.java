package sdk;

import static com.google.appengine.api.taskqueue.LeaseOptions.Builder.withCountLimit;
import static com.google.appengine.api.taskqueue.LeaseOptions.Builder.withTag;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withMethod;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.MINUTES;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.taskqueue.Queue;
import com.google.appengine.api.taskqueue.QueueFactory;
import com.google.appengine.api.taskqueue.TaskAlreadyExistsException;
import com.google.appengine.api.taskqueue.TaskHandle;
import com.google.appengine.api.taskqueue.TaskOptions;
import com.google.appengine.api.taskqueue.TaskOptions.Method;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.Test;

/** Pull queues: tasks are leased, and gone when the worker deletes them. */
public class PullQueuesTest extends TaskTest {
    private static TaskOptions task(String payload) {
        return withMethod(Method.PULL).payload(payload);
    }

    private static String payload(TaskHandle handle) {
        return new String(handle.getPayload(), UTF_8);
    }

    /** The payloads, blank between. */
    private static String payloads(List<TaskHandle> leased) {
        return leased.stream().map(PullQueuesTest::payload)
            .collect(Collectors.joining(" "));
    }

    private String lease(int n) {
        return payloads(pull.leaseTasks(10, MINUTES, n));
    }

    @Test
    public void aTaskIsLeasedOnce() throws Exception {
        TaskHandle added = pull.add(task("0"));
        pull.add(List.of(task("1"), task("2").tag("t")));
        long before = System.currentTimeMillis();
        List<TaskHandle> leased = pull.leaseTasks(60, SECONDS, 2);
        assertEquals("0 1", payloads(leased));
        TaskHandle first = leased.get(0);
        assertEquals(added.getName(), first.getName());
        assertEquals("pull", first.getQueueName());
        assertEquals(Integer.valueOf(1), first.getRetryCount());
        long end = first.getEtaMillis() - before;
        assertTrue("ends in " + end, end >= 60000 && end < 90000);
        TaskHandle last = pull.leaseTasks(60, SECONDS, 10).get(0);
        assertEquals("t", last.getTag());
        assertEquals("", lease(10));
        assertEquals(3, tasksOf(pull));
    }

    @Test
    public void whatIsDeletedIsDone() {
        pull.add(List.of(task("0"), task("1")));
        List<TaskHandle> leased = pull.leaseTasks(60, SECONDS, 2);
        assertTrue(pull.deleteTask(leased.get(0)));
        assertEquals(List.of(false, true), pull.deleteTask(leased));
        assertEquals(0, tasksOf(pull));
    }

    @Test
    public void aLeaseEnds() throws Exception {
        pull.add(task("x"));
        TaskHandle first = pull.leaseTasks(200, MILLISECONDS, 1).get(0);
        List<TaskHandle> again;
        long end = System.nanoTime() + SECONDS.toNanos(20);
        do {
            again = pull.leaseTasks(60, SECONDS, 1);
            assertTrue("never again", System.nanoTime() < end);
        } while (again.isEmpty());
        assertEquals(first.getName(), again.get(0).getName());
        assertEquals(Integer.valueOf(2), again.get(0).getRetryCount());
        // The first worker has it no longer.
        assertThrows(IllegalStateException.class,
                     () -> pull.modifyTaskLease(first, 60, SECONDS));
    }

    @Test
    public void aLeaseIsExtendedAndGivenBack() {
        pull.add(task("x"));
        TaskHandle task = pull.leaseTasks(60, SECONDS, 1).get(0);
        long before = task.getEtaMillis();
        TaskHandle longer = pull.modifyTaskLease(task, 600, SECONDS);
        assertTrue(longer.getEtaMillis() > before + 500000);
        assertEquals("", lease(1));
        pull.modifyTaskLease(longer, 0, SECONDS);
        assertEquals("x", lease(1));
    }

    @Test
    public void tasksAreLeasedByTag() throws Exception {
        pull.add(List.of(task("b0").tag("b"), task("a0").tag("a"),
                         task("-"), task("b1").tag("b"),
                         task("a1").tag(new byte[] {'a'})));
        assertEquals("a0", payloads(
            pull.leaseTasksByTag(60, SECONDS, 1, "a")));
        assertEquals("b0 b1", payloads(
            pull.leaseTasksByTag(60, SECONDS, 10, null)));
        assertEquals("a1", payloads(pull.leaseTasksByTagBytes(
            60, SECONDS, 10, new byte[] {'a'})));
        assertEquals("", payloads(
            pull.leaseTasksByTag(60, SECONDS, 10, "a")));
        assertEquals("-", payloads(
            pull.leaseTasksByTag(60, SECONDS, 10, null)));
    }

    @Test
    public void aLeaseHasOptions() throws Exception {
        pull.add(List.of(task("b").tag("b"), task("a").tag("a"),
                         task("c").tag("b")));
        assertEquals("a", payloads(pull.leaseTasks(
            withTag("a").leasePeriod(60, SECONDS).countLimit(5)
                .deadlineInSeconds(5.0))));
        assertEquals("b c", payloads(pull.leaseTasksAsync(
            withCountLimit(5).leasePeriod(60, SECONDS).groupByTag()).get()));
    }

    @Test
    public void aTagIsBytes() throws Exception {
        byte[] tag = {'t', -1, 1};
        pull.add(task("x").tag(tag));
        TaskHandle leased =
            pull.leaseTasksByTagBytes(60, SECONDS, 1, tag).get(0);
        assertArrayEquals(tag, leased.getTagAsBytes());
    }

    @Test
    public void itsTimeIsAwaited() {
        pull.add(task("later").countdownMillis(3600000));
        assertEquals("", lease(1));
        assertEquals(1, tasksOf(pull));
    }

    @Test
    public void itsNameIsUsedOnce() {
        String name = unused();
        pull.add(task("x").taskName(name));
        assertThrows(TaskAlreadyExistsException.class,
                     () -> pull.add(task("y").taskName(name)));
        assertEquals(name, pull.leaseTasks(60, SECONDS, 9).get(0).getName());
    }

    @Test
    public void parametersArePayload() throws Exception {
        pull.add(withMethod(Method.PULL).param("a", "é").param("b", "1 2"));
        TaskHandle leased = pull.leaseTasks(60, SECONDS, 1).get(0);
        assertEquals(List.of(Map.entry("a", "é"), Map.entry("b", "1 2")),
                     leased.extractParams());
    }

    @Test
    public void aTaskMayBeEmpty() {
        pull.add(withMethod(Method.PULL));
        assertEquals(0, pull.leaseTasks(60, SECONDS, 1).get(0)
                            .getPayload().length);
    }

    @Test
    public void aTransactionAddsPullTasks() {
        Transaction txn = datastore.beginTransaction();
        pull.add(txn, task("x"));
        assertEquals("", lease(1));
        txn.commit();
        assertEquals("x", lease(1));
    }

    @Test
    public void workersDoNotMeet() throws Exception {
        pull.add(Collections.nCopies(100, task("x")));
        List<Future<List<TaskHandle>>> workers =
            IntStream.range(0, 10)
                .mapToObj(i -> pull.leaseTasksAsync(60, SECONDS, 10))
                .collect(Collectors.toList());
        Set<String> names = new HashSet<>();
        for (Future<List<TaskHandle>> worker : workers) {
            for (TaskHandle task : worker.get()) {
                assertTrue(names.add(task.getName()));
            }
        }
        assertEquals(100, names.size() + pull.leaseTasks(
            60, SECONDS, 100).size());
    }

    @Test
    public void aTaskThatWasLeasedTooOftenGoes() {
        Queue worn = QueueFactory.getQueue("worn");
        worn.purge();
        worn.add(task("x"));
        TaskHandle leased = worn.leaseTasks(60, SECONDS, 1).get(0);
        worn.modifyTaskLease(leased, 0, SECONDS);
        assertEquals(List.of(), worn.leaseTasks(60, SECONDS, 1));
        assertEquals(0, tasksOf(worn));
    }

    @Test
    public void whatTheSdkRefuses() {
        assertThrows(IllegalArgumentException.class,
                     () -> pull.leaseTasks(8 * 24 * 60, MINUTES, 1));
        assertThrows(IllegalArgumentException.class,
                     () -> pull.leaseTasks(1, SECONDS, 1001));
        assertThrows(IllegalArgumentException.class,
                     () -> pull.leaseTasks(-1, SECONDS, 1));
        assertThrows(IllegalArgumentException.class,
                     () -> pull.add(task("x").url("/x")));
    }
}
