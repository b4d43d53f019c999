package sdk;

import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withDefaults;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withMethod;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withPayload;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withTaskName;
import static com.google.appengine.api.taskqueue.TaskOptions.Builder.withUrl;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.taskqueue.DeferredTask;
import com.google.appengine.api.taskqueue.DeferredTaskContext;
import com.google.appengine.api.taskqueue.InvalidQueueModeException;
import com.google.appengine.api.taskqueue.Queue;
import com.google.appengine.api.taskqueue.QueueFactory;
import com.google.appengine.api.taskqueue.QueueStatistics;
import com.google.appengine.api.taskqueue.RetryOptions;
import com.google.appengine.api.taskqueue.TaskAlreadyExistsException;
import com.google.appengine.api.taskqueue.TaskHandle;
import com.google.appengine.api.taskqueue.TaskOptions;
import com.google.appengine.api.taskqueue.TaskOptions.Method;
import com.google.appengine.api.taskqueue.TransactionalTaskException;
import com.google.appengine.api.taskqueue.TransientFailureException;
import com.google.appengine.api.taskqueue_bytes.TaskQueuePb.TaskQueueFetchTaskRequest;
import com.google.appengine.api.taskqueue_bytes.TaskQueuePb.TaskQueueFetchTaskResponse;
import com.google.appengine.api.taskqueue_bytes.TaskQueuePb.TaskQueueQueryTasksResponse.Task;
import com.google.appengine.repackaged.com.google.protobuf.ByteString;
import com.google.apphosting.api.ApiProxy;
import java.io.ByteArrayInputStream;
import java.io.ObjectInputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.Test;

/** Adding push tasks, looking and deleting; in transactions, too. */
public class TaskqueueTest extends TaskTest {
    private static final long HOUR = 3600000;

    /** As the server has it: the API itself shows no push task. */
    private static Task fetch(TaskHandle handle) throws Exception {
        byte[] answer = ApiProxy.makeSyncCall(
            "taskqueue", "FetchTask",
            TaskQueueFetchTaskRequest.newBuilder()
                .setQueueName(ByteString.copyFromUtf8(handle.getQueueName()))
                .setTaskName(ByteString.copyFromUtf8(handle.getName()))
                .build().toByteArray());
        return TaskQueueFetchTaskResponse.parseFrom(answer).getTask()
            .getTask(0);
    }

    private static Map<String, String> headers(Task task) {
        Map<String, String> headers =
            new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        task.getHeaderList().forEach(
            h -> headers.put(h.getKey().toStringUtf8(),
                             h.getValue().toStringUtf8()));
        return headers;
    }

    private static List<TaskOptions> many(int n) {
        List<TaskOptions> tasks = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            tasks.add(withUrl("/" + i));
        }
        return tasks;
    }

    // ---- adding ----

    @Test
    public void queuesHaveNames() {
        assertEquals("default", normal.getQueueName());
        assertEquals("held", held.getQueueName());
        assertThrows(IllegalArgumentException.class,
                     () -> QueueFactory.getQueue("no!where"));
    }

    @Test
    public void aTaskGetsAName() {
        TaskHandle one = held.add();
        TaskHandle two = held.add(withDefaults());
        assertTrue(one.getName(), one.getName().matches("[0-9]{16,20}"));
        assertNotEquals(one.getName(), two.getName());
        assertEquals("held", one.getQueueName());
        assertEquals(2, tasksOf(held));
    }

    @Test
    public void aTaskIsAsItWasMade() throws Exception {
        long eta = System.currentTimeMillis() + HOUR;
        String name = unused();
        Task task = fetch(held.add(
            withTaskName(name).url("/made?x=1").method(Method.PUT)
                .payload("body", "UTF-8").header("X-Mine", "yes")
                .etaMillis(eta).dispatchDeadline(Duration.ofSeconds(77))
                .retryOptions(RetryOptions.Builder.withTaskRetryLimit(3)
                                  .taskAgeLimitSeconds(60)
                                  .minBackoffSeconds(0.5)
                                  .maxBackoffSeconds(7)
                                  .maxDoublings(2))));
        assertEquals(name, task.getTaskName().toStringUtf8());
        assertEquals("/made?x=1", task.getUrl().toStringUtf8());
        assertEquals(Task.RequestMethod.PUT, task.getMethod());
        assertEquals("body", task.getBody().toStringUtf8());
        assertEquals("yes", headers(task).get("X-Mine"));
        assertEquals(namespace,
                     headers(task).get("X-AppEngine-Current-Namespace"));
        assertEquals(eta * 1000, task.getEtaUsec());
        assertEquals(77000000, task.getDispatchDeadlineUsec());
        assertEquals(3, task.getRetryParameters().getRetryLimit());
        assertEquals(60, task.getRetryParameters().getAgeLimitSec());
        assertEquals(0.5, task.getRetryParameters().getMinBackoffSec(), 0);
        assertEquals(7, task.getRetryParameters().getMaxBackoffSec(), 0);
        assertEquals(2, task.getRetryParameters().getMaxDoublings());
    }

    @Test
    public void aFormIsABodyAndAQueryIsAQuery() throws Exception {
        Task task = fetch(held.add(
            withUrl("/x").param("a", "é").param("b", "1 2")));
        assertEquals("a=%C3%A9&b=1+2", task.getBody().toStringUtf8());
        assertEquals("application/x-www-form-urlencoded",
                     headers(task).get("Content-Type"));
        task = fetch(held.add(
            withUrl("/x").method(Method.GET).param("a", "é")));
        assertEquals("/x?a=%C3%A9", task.getUrl().toStringUtf8());
        assertFalse(task.hasBody() && !task.getBody().isEmpty());
    }

    /** What a deferred task is before it runs. */
    private static class Noted implements DeferredTask {
        private static final long serialVersionUID = 1;
        private final String text;

        Noted(String text) {
            this.text = text;
        }

        @Override
        public void run() {}
    }

    @Test
    public void aDeferredTaskIsAPost() throws Exception {
        Task task = fetch(held.add(withPayload(new Noted("remember"))));
        assertEquals(DeferredTaskContext.DEFAULT_DEFERRED_URL,
                     task.getUrl().toStringUtf8());
        assertEquals(Task.RequestMethod.POST, task.getMethod());
        assertEquals(DeferredTaskContext.RUNNABLE_TASK_CONTENT_TYPE,
                     headers(task).get("Content-Type"));
        try (ObjectInputStream in = new ObjectInputStream(
                 new ByteArrayInputStream(task.getBody().toByteArray()))) {
            assertEquals("remember", ((Noted) in.readObject()).text);
        }
    }

    @Test
    public void aListIsAddedInItsOrder() throws Exception {
        List<TaskHandle> handles = held.add(many(100));
        assertEquals(100, handles.size());
        assertEquals(100, tasksOf(held));
        for (int i : List.of(0, 1, 50, 99)) {
            assertEquals("/" + i, fetch(handles.get(i)).getUrl()
                                      .toStringUtf8());
        }
        assertThrows(IllegalArgumentException.class,
                     () -> held.add(many(101)));
    }

    @Test
    public void addsRunSideBySide() throws Exception {
        List<Future<TaskHandle>> ones = new ArrayList<>();
        List<Future<List<TaskHandle>>> lists = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            ones.add(held.addAsync(withUrl("/one")));
            lists.add(held.addAsync(many(5)));
        }
        ones.add(held.addAsync());
        for (Future<TaskHandle> one : ones) {
            assertFalse(one.get().getName().isEmpty());
        }
        for (Future<List<TaskHandle>> list : lists) {
            assertEquals(5, list.get().size());
        }
        assertEquals(121, held.fetchStatisticsAsync(10.0).get().getNumTasks());
    }

    @Test
    public void aNameIsUsedOnce() {
        String name = unused();
        held.add(withTaskName(name));
        assertThrows(TaskAlreadyExistsException.class,
                     () -> held.add(withTaskName(name)));
        assertTrue(held.deleteTask(name));
        assertThrows(TaskAlreadyExistsException.class,
                     () -> held.add(withTaskName(name)));
        String purged = unused();
        held.add(withTaskName(purged));
        held.purge();
        assertThrows(TaskAlreadyExistsException.class,
                     () -> held.add(withTaskName(purged)));
        assertEquals(0, tasksOf(held));
        normal.add(withTaskName(name).countdownMillis(HOUR));
    }

    @Test
    public void theErrorNamesThoseThatExist() {
        String live = unused(), gone = unused(), fresh = unused();
        held.add(List.of(withTaskName(live), withTaskName(gone)));
        held.deleteTask(gone);
        TaskAlreadyExistsException error = assertThrows(
            TaskAlreadyExistsException.class,
            () -> held.add(List.of(withTaskName(live), withTaskName(fresh),
                                   withTaskName(gone))));
        assertEquals(List.of(live, gone), error.getTaskNames());
        assertEquals(2, tasksOf(held)); // fresh was added
        ExecutionException later = assertThrows(
            ExecutionException.class,
            () -> held.addAsync(withTaskName(live)).get());
        assertEquals(TaskAlreadyExistsException.class,
                     later.getCause().getClass());
    }

    // ---- errors ----

    @Test
    public void aQueueThatIsNotThere() {
        Queue nowhere = QueueFactory.getQueue("nowhere");
        assertContains(assertThrows(IllegalStateException.class,
                                    () -> nowhere.add()).getMessage(),
                       "nowhere");
        assertThrows(IllegalStateException.class, nowhere::purge);
        assertThrows(IllegalStateException.class,
                     () -> nowhere.leaseTasks(1, TimeUnit.SECONDS, 1));
        assertThrows(IllegalStateException.class,
                     () -> nowhere.deleteTask("x"));
        // Answered, but without the rates that this SDK insists on.
        assertThrows(TransientFailureException.class,
                     nowhere::fetchStatistics);
    }

    @Test
    public void pushAndPullDoNotMix() {
        assertThrows(InvalidQueueModeException.class,
                     () -> pull.add(withUrl("/x")));
        assertThrows(InvalidQueueModeException.class,
                     () -> held.add(withMethod(Method.PULL).payload("x")));
        assertThrows(InvalidQueueModeException.class,
                     () -> held.leaseTasks(1, TimeUnit.SECONDS, 1));
        assertEquals(0, tasksOf(held));
    }

    /** The SDK measures before the server does; they must agree. */
    @Test
    public void theLargestTaskThatTheSdkTakesIsTaken() {
        assertThrows(IllegalArgumentException.class,
                     () -> held.add(withPayload("x".repeat(102400))));
        int most = largest(held, withUrl("/x"), 102400);
        assertTrue("only " + most, most > 101000);
        most = largest(pull, withMethod(Method.PULL), 1 << 20);
        assertTrue("only " + most, most > (1 << 20) - 1000);
    }

    private static int largest(Queue queue, TaskOptions options, int from) {
        for (int n = from;; n--) {
            try {
                queue.add(new TaskOptions(options).payload(new byte[n]));
                return n;
            } catch (IllegalArgumentException e) {
                assertEquals("Task size too large", e.getMessage());
            }
        }
    }

    @Test
    public void whatTheSdkRefuses() {
        for (TaskOptions bad : List.of(
                 withUrl("http://elsewhere/"), withUrl("/x#y"),
                 withUrl("/" + "x".repeat(3000)),
                 withUrl("/x").etaMillis(-1),
                 withUrl("/x").countdownMillis(31 * 24 * HOUR),
                 withUrl("/x?a=1").param("b", "2"),
                 withUrl("/x").tag("tag"))) {
            assertThrows(IllegalArgumentException.class,
                         () -> held.add(bad));
        }
        assertThrows(IllegalArgumentException.class,
                     () -> held.add(withTaskName("a b")));
        assertEquals(0, tasksOf(held));
    }

    @Test
    public void theLastDayOfAnEtaIsTaken() {
        held.add(withUrl("/x").countdownMillis(30 * 24 * HOUR - 1000));
        held.add(withUrl("/x").etaMillis(0));
        assertEquals(2, tasksOf(held));
        assertEquals(Long.valueOf(0),
                     held.fetchStatistics().getOldestEtaUsec());
    }

    // ---- looking, deleting ----

    @Test
    public void statisticsCountWhatWaits() {
        QueueStatistics empty = held.fetchStatistics();
        assertEquals("held", empty.getQueueName());
        assertEquals(0, empty.getNumTasks());
        assertNull(empty.getOldestEtaUsec());
        long eta = System.currentTimeMillis() + HOUR;
        held.add(withUrl("/x").etaMillis(eta + 5));
        held.add(withUrl("/x").etaMillis(eta));
        QueueStatistics full = held.fetchStatistics();
        assertEquals(2, full.getNumTasks());
        assertEquals(Long.valueOf(eta * 1000), full.getOldestEtaUsec());
        assertEquals(0, full.getRequestsInFlight());
        assertEquals(0, full.getEnforcedRate(), 0);
        assertEquals(0, full.getExecutedLastMinute());
    }

    @Test
    public void deletingSaysWhatWasThere() throws Exception {
        String name = unused();
        List<TaskHandle> handles = held.add(many(4));
        held.add(withTaskName(name));
        assertTrue(held.deleteTask(handles.get(0)));
        assertFalse(held.deleteTask(handles.get(0)));
        assertTrue(held.deleteTaskAsync(name).get());
        assertFalse(held.deleteTask("never-there"));
        assertEquals(List.of(false, true, true),
                     held.deleteTask(handles.subList(0, 3)));
        assertEquals(1, tasksOf(held));
    }

    @Test
    public void purgedIsEmpty() {
        held.add(many(50));
        held.purge();
        assertEquals(0, tasksOf(held));
        held.add(many(2));
        assertEquals(2, tasksOf(held));
    }

    // ---- transactions ----

    @Test
    public void aTaskIsThereWhenTheTransactionCommitted() throws Exception {
        Transaction txn = datastore.beginTransaction();
        datastore.put(txn, entity("T", "a", "n", 1L));
        TaskHandle handle = held.add(txn, withUrl("/txn"));
        assertTrue(handle.getName(), handle.getName().matches("[0-9]+"));
        assertEquals(2, held.add(txn, many(2)).size());
        assertEquals(0, tasksOf(held));
        txn.commit();
        assertEquals(3, tasksOf(held));
        assertEquals("/txn", fetch(handle).getUrl().toStringUtf8());
        assertEquals(1L, datastore.get(key("T", "a")).getProperty("n"));
    }

    @Test
    public void theCurrentTransactionIsMeant() {
        Transaction txn = datastore.beginTransaction();
        held.add(withUrl("/current"));
        held.add(null, withUrl("/outside"));
        assertEquals(1, tasksOf(held));
        txn.commit();
        assertEquals(2, tasksOf(held));
    }

    @Test
    public void aRollbackLeavesNoTask() throws Exception {
        Transaction txn = datastore.beginTransaction();
        datastore.put(txn, entity("T", "a", "n", 1L));
        held.add(txn, withUrl("/x"));
        held.addAsync(txn, many(2)).get();
        txn.rollback();
        assertEquals(0, tasksOf(held));
        assertThrows(EntityNotFoundException.class,
                     () -> datastore.get(null, key("T", "a")));
    }

    @Test
    public void aConflictLeavesNoTask() throws Exception {
        datastore.put(null, entity("T", "a", "n", 0L));
        Transaction txn = datastore.beginTransaction();
        Entity e = datastore.get(txn, key("T", "a"));
        held.add(txn, withUrl("/x"));
        datastore.put(null, entity("T", "a", "n", 5L));
        datastore.put(txn, e);
        assertThrows(ConcurrentModificationException.class, txn::commit);
        assertEquals(0, tasksOf(held));
    }

    @Test
    public void aTaskOfATransactionHasNoName() {
        Transaction txn = datastore.beginTransaction();
        assertThrows(IllegalArgumentException.class,
                     () -> held.add(txn, withTaskName(unused())));
        txn.commit();
        assertEquals(0, tasksOf(held));
    }

    @Test
    public void fiveTasksFitATransaction() {
        Transaction txn = datastore.beginTransaction();
        held.add(txn, many(5));
        TransactionalTaskException error = assertThrows(
            TransactionalTaskException.class,
            () -> held.add(txn, withUrl("/sixth")));
        assertEquals(IllegalArgumentException.class,
                     error.getCause().getClass());
        txn.commit();
        assertEquals(5, tasksOf(held));
    }

    @Test
    public void aTransactionThatEndedTakesNoTask() {
        Transaction txn = datastore.beginTransaction();
        txn.commit();
        assertThrows(TransactionalTaskException.class,
                     () -> held.add(txn, withUrl("/x")));
        assertEquals(0, tasksOf(held));
    }
}
