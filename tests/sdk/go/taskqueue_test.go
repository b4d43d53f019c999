package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
	"google.golang.org/appengine/v2/taskqueue"
)

// taskName is a name that no other run has used.
func taskName(i int) string {
	return fmt.Sprintf("go-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), i)
}

// inQueues runs f with empty queues, those of tests/sdk/app/queue.yaml. Tasks of
// the default queue come to this program; held keeps its own.
func inQueues(t *testing.T, f func(context.Context)) {
	t.Helper()
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		for _, queue := range []string{"default", "held", "pull"} {
			must(t, taskqueue.Purge(ctx, queue))
		}
		f(ctx)
	})
}

func TestTasksAreAddedOnce(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		task, err := taskqueue.Add(ctx, taskqueue.NewPOSTTask("/work/any",
			map[string][]string{"a": {"1"}}), "")
		must(t, err)
		if len(task.Name) < 16 {
			t.Errorf("chosen name %q", task.Name)
		}
		name := taskName(1)
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "held")
		must(t, err)
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "held")
		if err != taskqueue.ErrTaskAlreadyAdded {
			t.Errorf("the same name: %v", err)
		}
		must(t, taskqueue.Delete(ctx, &taskqueue.Task{Name: name}, "held"))
		_, err = taskqueue.Add(ctx, &taskqueue.Task{Path: "/x", Name: name}, "held")
		if err != taskqueue.ErrTaskAlreadyAdded { // a tombstone, to this SDK
			t.Errorf("a deleted name: %v", err)
		}
	})
}

func TestManyTasksHaveTheirOwnErrors(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		name := taskName(2)
		tasks, err := taskqueue.AddMulti(ctx, []*taskqueue.Task{
			{Path: "/1"}, {Path: "/2", Name: name}, {Path: "/3"}}, "held")
		must(t, err)
		if tasks[1].Name != name || tasks[0].Name == tasks[2].Name {
			t.Errorf("names %q %q %q", tasks[0].Name, tasks[1].Name, tasks[2].Name)
		}
		_, err = taskqueue.AddMulti(ctx, []*taskqueue.Task{
			{Path: "/1"}, {Path: "/2", Name: name}}, "held")
		var multi appengine.MultiError
		if !errors.As(err, &multi) || multi[0] != nil ||
			multi[1] != taskqueue.ErrTaskAlreadyAdded {
			t.Errorf("got %v", err)
		}
		stats, err := taskqueue.QueueStats(ctx, []string{"held", "pull"})
		must(t, err)
		if stats[0].Tasks != 4 || stats[1].Tasks != 0 {
			t.Errorf("got %+v", stats)
		}
		if time.Since(stats[0].OldestETA) > time.Minute {
			t.Errorf("oldest %v", stats[0].OldestETA)
		}
		must(t, taskqueue.DeleteMulti(ctx, tasks, "held"))
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

// named fails the test unless err is the API's error of that name.
func named(t *testing.T, err error, name string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want %s", err, name)
	}
}

func tasksOf(t *testing.T, ctx context.Context, queue string) int {
	t.Helper()
	stats, err := taskqueue.QueueStats(ctx, []string{queue})
	must(t, err)
	return stats[0].Tasks
}

func TestALeaseByNoTagIsByTheOldestTasks(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		for i, tag := range []string{"b", "a", "", "b", ""} {
			_, err := taskqueue.Add(ctx, &taskqueue.Task{
				Method: "PULL", Tag: tag, Payload: []byte{byte('0' + i)}}, "pull")
			must(t, err)
		}
		for _, want := range []string{"03", "1", "24", ""} {
			tasks, err := taskqueue.LeaseByTag(ctx, 10, "pull", 60, "")
			must(t, err)
			got := ""
			for _, task := range tasks {
				got += string(task.Payload)
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestALeaseEndsWithItsTime(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		added, err := taskqueue.Add(ctx, &taskqueue.Task{
			Method: "PULL", Tag: "t", Payload: []byte("x")}, "pull")
		must(t, err)
		tasks, err := taskqueue.Lease(ctx, 1, "pull", 60)
		must(t, err)
		if len(tasks) != 1 {
			t.Fatalf("got %d tasks", len(tasks))
		}
		task := *tasks[0]
		if task.Name != added.Name || task.Tag != "t" || task.RetryCount != 1 ||
			time.Until(task.ETA) > time.Minute || time.Until(task.ETA) < 0 {
			t.Errorf("got %+v", task)
		}
		must(t, taskqueue.ModifyLease(ctx, &task, "pull", 600))
		if time.Until(task.ETA) < 500*time.Second {
			t.Errorf("extended to %v", task.ETA)
		}
		named(t, taskqueue.ModifyLease(ctx, tasks[0], "pull", 60),
			"TASK_LEASE_EXPIRED")
		must(t, taskqueue.ModifyLease(ctx, &task, "pull", 0))
		tasks, err = taskqueue.Lease(ctx, 1, "pull", 60)
		must(t, err)
		if len(tasks) != 1 || tasks[0].RetryCount != 2 {
			t.Errorf("got %v", tasks)
		}
		named(t, taskqueue.ModifyLease(ctx, &taskqueue.Task{Name: "never"}, "pull", 60),
			"UNKNOWN_TASK")
	})
}

func TestErrorsHaveTheirNames(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		pull := taskqueue.Task{Method: "PULL", Payload: []byte("x")}
		post := taskqueue.Task{Path: "/x"}
		for _, bad := range []struct {
			want, queue string
			task        taskqueue.Task
		}{
			{"UNKNOWN_QUEUE", "nowhere", post},
			{"INVALID_QUEUE_NAME", "no!where", post},
			{"INVALID_QUEUE_MODE", "pull", post},
			{"INVALID_QUEUE_MODE", "held", pull},
			{"TASK_TOO_LARGE", "held", taskqueue.Task{
				Path: "/x", Payload: make([]byte, 102400)}},
			{"INVALID_TASK_NAME", "held", taskqueue.Task{Path: "/x", Name: "a b"}},
			{"INVALID_URL", "held", taskqueue.Task{Path: "http://elsewhere/"}},
			{"INVALID_ETA", "held", taskqueue.Task{
				Path: "/x", Delay: 31 * 24 * time.Hour}},
		} {
			_, err := taskqueue.Add(ctx, &bad.task, bad.queue)
			named(t, err, bad.want)
		}
		_, err := taskqueue.AddMulti(ctx, []*taskqueue.Task{
			&post, {Path: "/x", Name: "a b"}}, "held")
		var multi appengine.MultiError
		if !errors.As(err, &multi) {
			t.Fatalf("got %v", err)
		}
		named(t, multi[0], "SKIPPED")
		named(t, multi[1], "INVALID_TASK_NAME")
		if n := tasksOf(t, ctx, "held"); n != 0 {
			t.Errorf("%d tasks", n)
		}
		_, err = taskqueue.Lease(ctx, 1, "held", 60)
		named(t, err, "INVALID_QUEUE_MODE")
		named(t, taskqueue.Purge(ctx, "nowhere"), "UNKNOWN_QUEUE")
	})
}

func TestDeleteAnswersForEachTask(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		task, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/x"}, "held")
		must(t, err)
		must(t, taskqueue.Delete(ctx, task, "held"))
		named(t, taskqueue.Delete(ctx, task, "held"), "TOMBSTONED_TASK")
		other, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/x"}, "held")
		must(t, err)
		err = taskqueue.DeleteMulti(ctx, []*taskqueue.Task{
			{Name: "never"}, other}, "held")
		var multi appengine.MultiError
		if !errors.As(err, &multi) || multi[1] != nil {
			t.Fatalf("got %v", err)
		}
		named(t, multi[0], "UNKNOWN_TASK")
	})
}

func TestAPurgedQueueIsEmpty(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		tasks := make([]*taskqueue.Task, 100)
		for i := range tasks {
			tasks[i] = &taskqueue.Task{Path: "/x"}
		}
		_, err := taskqueue.AddMulti(ctx, tasks, "held")
		must(t, err)
		if n := tasksOf(t, ctx, "held"); n != 100 {
			t.Errorf("%d tasks", n)
		}
		must(t, taskqueue.Purge(ctx, "held"))
		stats, err := taskqueue.QueueStats(ctx, []string{"held", "nowhere"})
		must(t, err)
		for _, s := range stats {
			if s.Tasks != 0 || !s.OldestETA.IsZero() || s.InFlight != 0 {
				t.Errorf("got %+v", s)
			}
		}
	})
}

func TestATransactionHasFiveTasksAndNoNames(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		must(t, datastore.RunInTransaction(ctx, func(tx context.Context) error {
			_, err := taskqueue.Add(tx, &taskqueue.Task{
				Path: "/x", Name: taskName(3)}, "held")
			named(t, err, "INVALID_TASK_NAME")
			tasks, err := taskqueue.AddMulti(tx, []*taskqueue.Task{
				{Path: "/1"}, {Path: "/2"}, {Path: "/3"}, {Path: "/4"}, {Path: "/5"}}, "held")
			must(t, err)
			if tasks[0].Name == "" {
				t.Error("a task has no name")
			}
			_, err = taskqueue.Add(tx, &taskqueue.Task{Path: "/6"}, "held")
			if err == nil {
				t.Error("a sixth task was taken")
			}
			return nil
		}, nil))
		if n := tasksOf(t, ctx, "held"); n != 5 {
			t.Errorf("%d tasks", n)
		}
	})
}

func TestATransactionThatIsTriedAgainAddsOnce(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		key := newKey(ctx, "Row", "a")
		_, err := datastore.Put(ctx, key, &row{})
		must(t, err)
		tries := 0
		must(t, datastore.RunInTransaction(ctx, func(tx context.Context) error {
			tries++
			var r row
			must(t, datastore.Get(tx, key, &r))
			_, err := taskqueue.Add(tx, &taskqueue.Task{Path: "/x"}, "held")
			must(t, err)
			if tries == 1 {
				_, err := datastore.Put(ctx, key, &row{5})
				must(t, err)
			}
			r.N++
			_, err = datastore.Put(tx, key, &r)
			return err
		}, nil))
		if n := tasksOf(t, ctx, "held"); tries != 2 || n != 1 {
			t.Errorf("%d tasks after %d tries", n, tries)
		}
	})
}

func TestTasksCommitWithATransaction(t *testing.T) {
	inQueues(t, func(ctx context.Context) {
		refuse := errors.New("no")
		for i, want := range []error{refuse, nil} {
			err := datastore.RunInTransaction(ctx, func(ctx context.Context) error {
				_, err := taskqueue.Add(ctx, &taskqueue.Task{Path: "/x"}, "held")
				must(t, err)
				return want
			}, nil)
			if err != want {
				t.Fatal(err)
			}
			stats, err := taskqueue.QueueStats(ctx, []string{"held"})
			must(t, err)
			if stats[0].Tasks != i {
				t.Errorf("%d tasks after %v", stats[0].Tasks, want)
			}
		}
	})
}
