package sdk;

import com.google.appengine.api.taskqueue.Queue;
import com.google.appengine.api.taskqueue.QueueFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.Before;

/**
 * What the tests of queues share: the queues of tests/sdk/app/queue.yaml, all
 * empty.  `normal` sends its tasks to this app (Worker), `held` never does.
 */
public abstract class TaskTest extends ApiTest {
    private static final AtomicInteger numbers = new AtomicInteger();

    protected final Queue normal = QueueFactory.getDefaultQueue();
    protected final Queue held = QueueFactory.getQueue("held");
    protected final Queue pull = QueueFactory.getQueue("pull");

    @Before
    public void emptyTheQueues() {
        notOnTheReference();
        normal.purge();
        held.purge();
        pull.purge();
    }

    /** A name that no task ever had, as they stay used for days. */
    protected static String unused() {
        return "java-" + System.currentTimeMillis() + "-"
            + numbers.incrementAndGet();
    }

    protected static int tasksOf(Queue queue) {
        return queue.fetchStatistics().getNumTasks();
    }

    /** Tasks end after their last answer, and nothing tells when. */
    protected static void untilEmpty(Queue queue) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (tasksOf(queue) > 0) {
            if (System.nanoTime() > end) {
                throw new AssertionError(queue.getQueueName() + " holds "
                                         + tasksOf(queue) + " tasks");
            }
            Thread.sleep(10);
        }
    }
}
