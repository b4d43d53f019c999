// Package sdk drives the platform with Google's unmodified Go SDK.
//
// API_HOST, API_PORT and GAE_APPLICATION name the server and the app, as in an
// instance, and PORT is where the server sends tasks; tests/sdk/test_go.py sets
// them.
package sdk

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"API_HOST", "API_PORT", "GAE_APPLICATION", "PORT"} {
		if os.Getenv(name) == "" {
			fmt.Fprintln(os.Stderr, name, "is not set; tests/sdk/test_go.py",
				"runs these tests against an emulator")
			os.Exit(2)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// As appengine.Main() does, save that it ends with the tests.
	go http.Serve(listener, appengine.Middleware(http.DefaultServeMux))
	os.Exit(m.Run())
}

var namespaces int32

// inRequest runs f as the handler of a request to the app would run, in a
// namespace of its own.
func inRequest(t *testing.T, f func(context.Context)) {
	t.Helper()
	inRequestWith(t, nil, f)
}

func inRequestWith(t *testing.T, headers map[string]string, f func(context.Context)) {
	t.Helper()
	done := false
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := appengine.NewContext(r)
		ns := fmt.Sprintf("go%d.%d", os.Getpid(), atomic.AddInt32(&namespaces, 1))
		ctx, err := appengine.Namespace(ctx, ns)
		if err != nil {
			t.Error(err)
			return
		}
		// FailNow ends the goroutine that called it: report from here.
		f(ctx)
		done = true
	})
	request := httptest.NewRequest("GET", "/", nil)
	request.Header.Set("X-Appengine-Api-Ticket", "go-test-ticket")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	appengine.Middleware(handler).ServeHTTP(answer, request)
	if !done && !t.Failed() {
		t.Fatalf("the handler panicked: HTTP %d", answer.Code)
	}
}

// must fails the test with the place of the caller.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(ctx context.Context, kind string, name string) *datastore.Key {
	return datastore.NewKey(ctx, kind, name, 0, nil)
}
