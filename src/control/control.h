/*
 * control - the supervisor of one machine; see README.md.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

struct control_options {
    const char *root;     /* the runtime folder, absolute */
    const char *config;   /* the settings file, or NULL: all defaults */
    const char *programs; /* folder of appscale-server */
    const char *runtimes; /* folder of runtimes/ */
};

/*
 * Run until told to stop (SIGTERM, SIGINT, the Admin API).  Returns the exit
 * status: 0 after an orderly stop of everything, 1 when it could not start,
 * with the reason on stderr.
 */
int control_run(const struct control_options *o);

#endif
