package sdk

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"path"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
	"google.golang.org/appengine/v2/delay"
	"google.golang.org/appengine/v2/taskqueue"
)

// An arrival is one attempt of a task that came to this program.
type arrival struct {
	method, namespace string
	body              []byte
	form              map[string][]string
	header            http.Header
	task              taskqueue.RequestHeaders
	args              []interface{} // of delayed functions
}

var arrivals = struct {
	sync.Mutex
	of map[string]chan arrival
}{of: map[string]chan arrival{}}

// arrived is the channel of what comes for the name.
func arrived(name string) chan arrival {
	arrivals.Lock()
	defer arrivals.Unlock()
	if arrivals.of[name] == nil {
		arrivals.of[name] = make(chan arrival, 100)
	}
	return arrivals.of[name]
}

func await(t *testing.T, name string) arrival {
	t.Helper()
	select {
	case a := <-arrived(name):
		return a
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing came to %s", name)
		return arrival{}
	}
}

// namespaceOf is the namespace of the keys made in ctx.
func namespaceOf(ctx context.Context) string {
	return newKey(ctx, "K", "k").Namespace()
}

// worker takes what the queues send to /work/NAME. With a header X-Fail it
// fails the first time.
func worker(w http.ResponseWriter, r *http.Request) {
	a := arrival{method: r.Method, header: r.Header,
		namespace: namespaceOf(appengine.NewContext(r)),
		task:      *taskqueue.ParseRequestHeaders(r.Header)}
	r.ParseForm()
	a.form = r.Form
	a.body, _ = io.ReadAll(r.Body)
	if r.Header.Get("X-Fail") != "" && a.task.TaskRetryCount == 0 {
		w.WriteHeader(http.StatusConflict)
	}
	arrived(path.Base(r.URL.Path)) <- a
}

func init() {
	http.HandleFunc("/work/", worker)
	http.HandleFunc("/_ah/queue/default", worker)
}

func TestTasksArrive(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(10)
		task, err := taskqueue.Add(ctx, taskqueue.NewPOSTTask("/work/"+name,
			map[string][]string{"a": {"Grüße & =", "2"}}), "")
		must(t, err)
		a := await(t, name)
		if a.method != "POST" || len(a.form["a"]) != 2 || a.form["a"][0] != "Grüße & =" {
			t.Errorf("got %+v", a)
		}
		if a.task.QueueName != "default" || a.task.TaskName != task.Name ||
			a.task.TaskRetryCount != 0 || a.task.TaskExecutionCount != 0 ||
			a.task.TaskPreviousResponse != 0 {
			t.Errorf("got %+v", a.task)
		}
		if a.namespace != namespaceOf(ctx) {
			t.Errorf("in namespace %q", a.namespace)
		}
		// It has a fraction, which the SDK takes for no number.
		if eta, err := strconv.ParseFloat(a.header.Get("X-AppEngine-TaskETA"), 64); err != nil ||
			math.Abs(eta-float64(time.Now().Unix())) > 60 || !a.task.TaskETA.IsZero() {
			t.Errorf("ETA %v, %v, %v", eta, err, a.task.TaskETA)
		}
	})
}

func TestBodiesArrive(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(11)
		_, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/work/" + name, Method: "PUT",
			Payload: []byte{0, 255, 10}, Header: http.Header{"X-Mine": {"yes"}}}, "")
		must(t, err)
		a := await(t, name)
		if a.method != "PUT" || string(a.body) != "\x00\xff\n" ||
			a.header.Get("X-Mine") != "yes" {
			t.Errorf("got %+v", a)
		}
	})
}

func TestATaskWithoutAPathGoesToItsQueues(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		task, err := taskqueue.Add(ctx, &taskqueue.Task{}, "")
		must(t, err)
		if a := await(t, "default"); a.task.TaskName != task.Name {
			t.Errorf("got %+v", a)
		}
	})
}

func TestTheTimeOfATaskIsAwaited(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name, before := taskName(12), time.Now()
		_, err := taskqueue.Add(ctx, &taskqueue.Task{
			Path: "/work/" + name, Delay: 300 * time.Millisecond}, "")
		must(t, err)
		await(t, name)
		if time.Since(before) < 300*time.Millisecond {
			t.Errorf("came after %v", time.Since(before))
		}
	})
}

func TestAFailureIsTriedAgain(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(13)
		_, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/work/" + name,
			Header:       http.Header{"X-Fail": {"once"}},
			RetryOptions: &taskqueue.RetryOptions{MinBackoff: 10 * time.Millisecond}}, "")
		must(t, err)
		await(t, name)
		a := await(t, name)
		if a.task.TaskRetryCount != 1 || a.task.TaskExecutionCount != 1 ||
			a.task.TaskPreviousResponse != 409 {
			t.Errorf("got %+v", a.task)
		}
	})
}

func TestATaskOfATransactionComesAfterTheCommit(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name, plain := taskName(14), taskName(15)
		must(t, datastore.RunInTransaction(ctx, func(tx context.Context) error {
			_, err := taskqueue.Add(tx, &taskqueue.Task{Path: "/work/" + name}, "")
			must(t, err)
			_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/work/" + plain}, "")
			must(t, err)
			await(t, plain)
			if len(arrived(name)) != 0 {
				t.Error("came before the commit")
			}
			_, err = datastore.Put(tx, newKey(tx, "Row", "a"), &row{1})
			return err
		}, nil))
		await(t, name)
	})
}

// ---- delay ----

type point struct{ X, Y int }

var later = delay.MustRegister("later",
	func(ctx context.Context, name string, p *point, more ...int) error {
		header, err := delay.RequestHeaders(ctx)
		if err != nil {
			return err
		}
		arrived(name) <- arrival{task: *header, namespace: namespaceOf(ctx),
			args: []interface{}{p, more}}
		if p != nil && header.TaskRetryCount < int64(p.Y) {
			return errors.New("as the test wants")
		}
		return nil
	})

func TestADelayedCallIsMade(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(20)
		must(t, later.Call(ctx, name, &point{X: 7}, 1, 2))
		a := await(t, name)
		p, more := a.args[0].(*point), a.args[1].([]int)
		if p.X != 7 || len(more) != 2 || more[1] != 2 {
			t.Errorf("got %v %v", p, more)
		}
		if a.task.QueueName != "default" || a.namespace != namespaceOf(ctx) {
			t.Errorf("got %+v", a)
		}
		must(t, later.Call(ctx, name, nil))
		if a = await(t, name); a.args[0].(*point) != nil {
			t.Errorf("got %v", a.args[0])
		}
	})
}

func TestADelayedCallThatFailsIsMadeAgain(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(21)
		must(t, later.Call(ctx, name, &point{Y: 2}))
		for i := int64(0); i < 3; i++ {
			if a := await(t, name); a.task.TaskRetryCount != i {
				t.Errorf("got %+v", a.task)
			}
		}
	})
}

func TestADelayedCallOfATransaction(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name, lost := taskName(22), taskName(23)
		refuse := errors.New("no")
		for _, end := range []struct {
			name string
			err  error
		}{{lost, refuse}, {name, nil}} {
			err := datastore.RunInTransaction(ctx, func(tx context.Context) error {
				must(t, later.Call(tx, end.name, nil))
				return end.err
			}, nil)
			if err != end.err {
				t.Fatal(err)
			}
		}
		await(t, name)
		if len(arrived(lost)) != 0 {
			t.Error("what was rolled back has run")
		}
	})
}
