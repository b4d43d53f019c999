package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
	"google.golang.org/appengine/v2/delay"
	"google.golang.org/appengine/v2/taskqueue"
)

// taskName is a name that no other run has used.
func taskName(i int) string {
	return fmt.Sprintf("go-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), i)
}

func inQueues(t *testing.T, f func(context.Context)) {
	t.Helper()
	inRequest(t, func(ctx context.Context) {
		for _, queue := range []string{"default", "push", "pull"} {
			must(t, taskqueue.Purge(ctx, queue))
		}
		f(ctx)
	})
}

func TestTasksAreAddedOnce(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		task, err := taskqueue.Add(ctx, taskqueue.NewPOSTTask("/work",
			map[string][]string{"a": {"1"}}), "")
		must(t, err)
		if len(task.Name) < 16 {
			t.Errorf("chosen name %q", task.Name)
		}
		name := taskName(1)
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "push")
		must(t, err)
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "push")
		if err != taskqueue.ErrTaskAlreadyAdded {
			t.Errorf("the same name: %v", err)
		}
		must(t, taskqueue.Delete(ctx, &taskqueue.Task{Name: name}, "push"))
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "push")
		if err != taskqueue.ErrTaskAlreadyAdded { // a tombstone, to this SDK
			t.Errorf("a deleted name: %v", err)
		}
	})
}

func TestManyTasksHaveTheirOwnErrors(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(2)
		tasks, err := taskqueue.AddMulti(ctx, []*taskqueue.Task{
			{Path: "/1"}, {Path: "/2", Name: name}, {Path: "/3"}}, "push")
		must(t, err)
		if tasks[1].Name != name || tasks[0].Name == tasks[2].Name {
			t.Errorf("names %q %q %q", tasks[0].Name, tasks[1].Name, tasks[2].Name)
		}
		_, err = taskqueue.AddMulti(ctx, []*taskqueue.Task{
			{Path: "/1"}, {Path: "/2", Name: name}}, "push")
		var multi appengine.MultiError
		if !errors.As(err, &multi) || multi[0] != nil ||
			multi[1] != taskqueue.ErrTaskAlreadyAdded {
			t.Errorf("got %v", err)
		}
		stats, err := taskqueue.QueueStats(ctx, []string{"push", "pull"})
		must(t, err)
		if stats[0].Tasks != 4 || stats[1].Tasks != 0 {
			t.Errorf("got %+v", stats)
		}
		if time.Since(stats[0].OldestETA) > time.Minute {
			t.Errorf("oldest %v", stats[0].OldestETA)
		}
		must(t, taskqueue.DeleteMulti(ctx, tasks, "push"))
	})
}

func TestTasksAreLeased(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		for i, tag := range []string{"a", "b", "a"} {
			_, err := taskqueue.Add(ctx, &taskqueue.Task{
				Method: "PULL", Tag: tag, Payload: []byte{byte(i)}}, "pull")
			must(t, err)
		}
		tasks, err := taskqueue.LeaseByTag(ctx, 10, "pull", 60, "a")
		must(t, err)
		if len(tasks) != 2 || tasks[0].Payload[0] != 0 || tasks[1].Payload[0] != 2 {
			t.Fatalf("got %v", tasks)
		}
		must(t, taskqueue.ModifyLease(ctx, tasks[0], "pull", 0))
		must(t, taskqueue.Delete(ctx, tasks[1], "pull"))
		rest, err := taskqueue.Lease(ctx, 10, "pull", 60)
		must(t, err)
		if len(rest) != 2 {
			t.Errorf("got %d tasks, want 2", len(rest))
		}
	})
}

func TestTasksCommitWithATransaction(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		refuse := errors.New("no")
		for i, want := range []error{refuse, nil} {
			err := datastore.RunInTransaction(ctx, func(ctx context.Context) error {
				_, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/x"}, "push")
				must(t, err)
				return want
			}, nil)
			if err != want {
				t.Fatal(err)
			}
			stats, err := taskqueue.QueueStats(ctx, []string{"push"})
			must(t, err)
			if stats[0].Tasks != i {
				t.Errorf("%d tasks after %v", stats[0].Tasks, want)
			}
		}
	})
}

var later = delay.MustRegister("later", func(ctx context.Context, n int) {})

func TestDelayAddsATask(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		must(t, later.Call(ctx, 7))
		stats, err := taskqueue.QueueStats(ctx, []string{"default"})
		must(t, err)
		if stats[0].Tasks != 1 {
			t.Errorf("%d tasks", stats[0].Tasks)
		}
	})
}
