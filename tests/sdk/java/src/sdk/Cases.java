package sdk;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.Arrays;
import java.util.stream.Collectors;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.junit.AssumptionViolatedException;
import org.junit.Test;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * The application: a request to /CLASS/METHOD runs that JUnit test as a
 * request's own code, on the thread that has the API's environment, and
 * answers "passed", "skipped: why" or "failed" and the trace; /CLASS lists
 * the tests of a class.  tests/sdk/test_java.py asks.
 */
public class Cases extends HttpServlet {
    private static final long serialVersionUID = 1;

    @Override
    protected void doGet(HttpServletRequest request,
                         HttpServletResponse response) throws IOException {
        response.setContentType("text/plain;charset=utf-8");
        PrintWriter out = response.getWriter();
        String[] path = request.getPathInfo().substring(1).split("/");
        try {
            Class<?> cases = Class.forName("sdk." + path[0]);
            if (path.length == 1) {
                list(cases, out);
            } else {
                run(Request.method(cases, path[1]), out);
            }
        } catch (ClassNotFoundException e) {
            response.setStatus(HttpServletResponse.SC_NOT_FOUND);
            out.println(e);
        }
    }

    private static void list(Class<?> cases, PrintWriter out) {
        Arrays.stream(cases.getMethods())
            .filter(m -> m.isAnnotationPresent(Test.class))
            .forEach(m -> out.println(m.getName()));
    }

    private static void run(Request test, PrintWriter out) {
        Skipped skipped = new Skipped();
        JUnitCore runner = new JUnitCore();
        runner.addListener(skipped);
        Result result = runner.run(test);
        if (!result.wasSuccessful()) {
            out.println("failed");
            result.getFailures().forEach(f -> out.println(trimmed(f)));
        } else {
            out.println(skipped.why == null ? "passed"
                                            : "skipped: " + skipped.why);
        }
    }

    /** The trace without the frames that are neither ours nor the API's. */
    private static String trimmed(Failure failure) {
        return failure.getTrace().lines()
            .filter(line -> !line.startsWith("\tat ")
                        || line.startsWith("\tat sdk.")
                        || line.startsWith("\tat com.google.appengine."))
            .collect(Collectors.joining("\n"));
    }

    private static class Skipped extends RunListener {
        String why;

        @Override
        public void testAssumptionFailure(Failure failure) {
            why = failure.getException() instanceof AssumptionViolatedException
                ? failure.getMessage()
                : failure.toString();
        }
    }
}
