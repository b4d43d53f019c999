package sdk;

import com.google.appengine.api.NamespaceManager;
import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/**
 * Where the queues send: what comes to /work/NAME is handed to the test that
 * waits for NAME, in another request of this instance.  A task with a header
 * X-Failures fails as often.
 */
public class Worker extends HttpServlet {
    private static final long serialVersionUID = 1;
    private static final ConcurrentMap<String, BlockingQueue<Arrival>>
        ARRIVALS = new ConcurrentHashMap<>();

    /** The request of one attempt. */
    public static class Arrival {
        public final long millis = System.currentTimeMillis();
        public final String namespace = NamespaceManager.get();
        public final String method;
        public final Map<String, String[]> params;
        public final byte[] body;
        public final Map<String, String> headers =
            new TreeMap<>(String.CASE_INSENSITIVE_ORDER);

        /** The parameters of a form are its body. */
        Arrival(HttpServletRequest request) throws IOException {
            method = request.getMethod();
            params = Map.copyOf(request.getParameterMap());
            body = request.getInputStream().readAllBytes();
            for (String name : Collections.list(request.getHeaderNames())) {
                headers.put(name, request.getHeader(name));
            }
        }

        /** "TaskName", "QueueName", ... */
        public String said(String name) {
            return headers.get("X-AppEngine-" + name);
        }

        public int retries() {
            return Integer.parseInt(said("TaskRetryCount"));
        }
    }

    private static BlockingQueue<Arrival> arrivals(String name) {
        return ARRIVALS.computeIfAbsent(name,
                                        n -> new LinkedBlockingQueue<>());
    }

    public static Arrival arrived(String name, HttpServletRequest request)
        throws IOException {
        Arrival arrival = new Arrival(request);
        arrivals(name).add(arrival);
        return arrival;
    }

    /** The next attempt for the name. */
    public static Arrival await(String name) throws InterruptedException {
        Arrival arrival = arrivals(name).poll(30, TimeUnit.SECONDS);
        if (arrival == null) {
            throw new AssertionError("nothing came to " + name);
        }
        return arrival;
    }

    /** How many have come that nobody has awaited. */
    public static int waiting(String name) {
        return arrivals(name).size();
    }

    @Override
    protected void service(HttpServletRequest request,
                           HttpServletResponse response) throws IOException {
        String path = request.getRequestURI();
        Arrival arrival =
            arrived(path.substring(path.lastIndexOf('/') + 1), request);
        String failures = arrival.headers.get("X-Failures");
        if (failures != null
            && arrival.retries() < Integer.parseInt(failures)) {
            response.setStatus(HttpServletResponse.SC_CONFLICT);
        }
    }
}
