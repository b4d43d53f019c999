/*
 * proc - what the kernel tells about processes, from /proc.
 *
 * A process is known by its pid and its start time together: pids come again,
 * the pair does not.  Every function answers from the moment; a process may be
 * gone when it returns.
 */
#ifndef CONTROL_PROC_H
#define CONTROL_PROC_H

#include "base/bytes.h"

#include <sys/types.h>

struct arena;

/* Clock ticks after boot at which `pid` started; 0 when there is no such
 * process or it is a zombie. */
uint64_t proc_start_time(pid_t pid);

/* The process that started it, or 1 when that one has ended; 0 when there is
 * no such process. */
pid_t proc_parent(pid_t pid);

/* Resident bytes of every process of the session `sid`. */
int64_t proc_session_memory(pid_t sid);

/* What the processes of a session use. */
struct proc_session {
    pid_t sid;
    int64_t memory; /* resident bytes; shared pages count for each */
    int64_t ticks;  /* processor time so far, in clock ticks */
};

/* Fill in memory and ticks of `n` sessions, in one walk over /proc. */
void proc_sessions(struct proc_session *list, size_t n);

/* Bytes of a session, shared pages divided among those who share them: dearer
 * to find out than proc_session_memory(). */
int64_t proc_session_share(pid_t sid);

/* Bytes that new processes may still have, as the kernel estimates. */
int64_t proc_memory_available(void);

/* Resident bytes of one process. */
int64_t proc_memory(pid_t pid);

/* Processes of the session `sid` that live. */
int proc_session_count(pid_t sid);

/* Those of them whose command line is exactly `title`. */
int proc_session_titled(pid_t sid, const char *title);

/* kill(2) every process of the session `sid`, whatever its group. */
void proc_session_kill(pid_t sid, int sig);

/* Whether the words of its command line or of its environment hold `mark`. */
bool proc_has_mark(pid_t pid, const char *mark);

/* Call fn(pid) for every session leader of our user. */
void proc_each_leader(void (*fn)(pid_t pid, void *arg), void *arg);

/*
 * Who listens on the TCP port: "haproxy (pid 4711)", in the arena; NULL when
 * nobody does or it does not show (another user's process).
 */
const char *proc_port_owner(struct arena *a, int port);

/* Full path of a program found on PATH or in /usr/sbin; NULL when missing. */
const char *proc_find_program(struct arena *a, const char *name);

#endif
