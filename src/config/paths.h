/*
 * paths - where an installation keeps its things.
 *
 * ROOT holds everything the platform writes: run/ (sockets, pid files),
 * logs/, data/, and what is generated.  It is --root, else APPSCALE_ROOT, else
 * /var/lib/appscale for root and ~/.local/share/appscale for everyone else.
 */
#ifndef CONFIG_PATHS_H
#define CONFIG_PATHS_H

#include "base/ctx.h"

/* RabbitMQ's own start script, as Debian's package has it.  The one on the PATH
 * is a wrapper that wants to be root and changes the user. */
#define CONFIG_RABBITMQ "/usr/lib/rabbitmq/bin/rabbitmq-server"

/* The root folder, absolute; `given` is what --root says, or NULL. */
const char *config_root(struct arena *a, const char *given);

/* ROOT/run/controller.sock: where the Admin API listens. */
const char *config_socket(struct arena *a, const char *root);

/* The folder of the running executable. */
const char *config_program_dir(struct arena *a);

/* A program: beside our own executable, else on the PATH; NULL when it is
 * nowhere.  /usr/sbin and /usr/local/sbin count as on the PATH, since that is
 * where Debian keeps servers. */
const char *config_program_find(struct arena *a, const char *name);

/* A program that is for us alone: ../libexec/appscale/NAME of an installation,
 * else ../BUILT of a build folder, both beside our own folder; NULL when it is
 * in neither. */
const char *config_libexec_find(struct arena *a, const char *name,
                                const char *built);

#endif
