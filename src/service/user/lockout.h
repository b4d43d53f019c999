/*
 * lockout - counters of failed sign-ins, bounded and forgetful.
 *
 * Every failure makes the next attempt wait longer: free for the first few,
 * then one second doubling up to a quarter of an hour.  There is a counter for
 * the account that was tried (existing or not, so that nothing shows) and one
 * for the network address, with more patience since people share addresses.
 *
 * The table has a fixed number of sets of a few counters; a full set gives up
 * its oldest.  Which set a subject falls into depends on a random key, so that
 * nobody can aim.  Lost at a restart, which an attacker cannot cause.
 *
 * Thread rule: any thread; LOCK_USER_LOCKOUT.
 */
#ifndef SERVICE_USER_LOCKOUT_H
#define SERVICE_USER_LOCKOUT_H

#include "base/bytes.h"

struct lockout;

enum lockout_kind { LOCKOUT_ACCOUNT, LOCKOUT_ADDRESS, LOCKOUT_KINDS };

/* NULL when out of memory. */
struct lockout *lockout_new(void);

/* NULL is allowed; all counters are forgotten. */
void lockout_free(struct lockout *l);

/*
 * May `subject` try now?  0, or the microseconds it still has to wait.  `now`
 * is clock_mono().  An attempt that may go on is counted as failed at once, so
 * that parallel attempts cannot pass together; lockout_forgive() takes it back.
 */
int64_t lockout_attempt(struct lockout *l, enum lockout_kind kind,
                        struct bytes subject, int64_t now);

/* The attempt succeeded: forget the subject's failures. */
void lockout_forgive(struct lockout *l, enum lockout_kind kind,
                     struct bytes subject);

#endif
