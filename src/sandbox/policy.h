/*
 * policy - which ports of this machine a confined program may use.
 *
 * Applications share the machine's network: they reach the internet, databases
 * on loopback, and their own ports.  What is not theirs are the ports of other
 * instances, which believe X-Appengine-* headers, those of the platform, and
 * what other applications listen on besides, where each has a user of its own.
 * Whether an address is this machine's is found out by the caller: any of its
 * addresses leads to the same ports as loopback.
 *
 * Pure functions; no state.
 */
#ifndef SANDBOX_POLICY_H
#define SANDBOX_POLICY_H

#include "base/bytes.h"

#include <sys/socket.h>
#include <sys/types.h>

enum { POLICY_RANGES_MAX = 16 };

struct policy {
    int port, api_port; /* its own, and the services'; 0: none */
    struct policy_range {
        int first, last;
        bool open; /* anybody may connect, nobody may take it */
    } ranges[POLICY_RANGES_MAX];
    size_t n_ranges;
    uid_t first_user, last_user; /* of applications; 0: not told apart */
};

/* An address as a program gave it. */
struct policy_address {
    enum policy_kind {
        POLICY_OTHER,    /* no family that has ports or names */
        POLICY_INET,     /* IPv4 or IPv6 */
        POLICY_PATH,     /* a unix socket in the file system */
        POLICY_ABSTRACT, /* a unix socket in no file system, or unnamed */
        POLICY_SHORT,    /* cut off: the kernel shall say so */
    } kind;
    int port;
};

/* What the `n` bytes at `sa` name. */
struct policy_address policy_address(const struct sockaddr_storage *sa,
                                     socklen_t n);

/* May it connect there?  0, or the negative errno it gets.  `here`: the
 * address is one of this machine. */
int policy_connect(const struct policy *p, const struct policy_address *to,
                   bool here);

/* Whether a connection that policy_connect() allows is to a port that might be
 * another application's own: one that nothing here tells about. */
bool policy_is_unknown(const struct policy *p, const struct policy_address *to,
                       bool here);

/* May it bind a socket to that?  0 or a negative errno. */
int policy_bind(const struct policy *p, const struct policy_address *at);

/* Add a range of ports from "A-B" or "A"; false when it is none or there are
 * too many. */
bool policy_add(struct policy *p, const char *text, bool open);

#endif
