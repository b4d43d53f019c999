/*
 * errinj - a small table under a mutex, behind one relaxed flag.
 *
 * The mutex has no rank: a fault may be asked for under any lock, and nothing
 * is taken under this one.
 */
#include "base/errinj.h"

#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAULTS_MAX = 32, NAME_MAX_LEN = 64 };

struct fault {
    char name[NAME_MAX_LEN];
    int64_t skip;
    int64_t left;
};

bool errinj_any;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[FAULTS_MAX];
static int n_faults;

bool errinj_hit(const char *name)
{
    bool fire = false;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_faults; i++) {
        struct fault *f = &faults[i];

        if (strcmp(f->name, name) != 0)
            continue;
        if (f->skip > 0) {
            f->skip--;
        } else if (f->left > 0) {
            f->left--;
            fire = true;
        }
        break;
    }
    pthread_mutex_unlock(&lock);
    return fire;
}

void errinj_set(const char *name, int64_t count, int64_t skip)
{
    struct fault *f = NULL;

    if (strlen(name) >= NAME_MAX_LEN)
        die("fault name too long: %s", name);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_faults; i++) {
        if (strcmp(faults[i].name, name) == 0)
            f = &faults[i];
    }
    if (!f) {
        if (n_faults == FAULTS_MAX)
            die("more than %d faults are set", FAULTS_MAX);
        f = &faults[n_faults++];
        strcpy(f->name, name);
    }
    f->left = count;
    f->skip = skip;
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&errinj_any, true, __ATOMIC_RELAXED);
}

void errinj_clear(void)
{
    pthread_mutex_lock(&lock);
    n_faults = 0;
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&errinj_any, false, __ATOMIC_RELAXED);
}

void errinj_from_env(void)
{
    const char *env = getenv("APPSCALE_ERRINJ");
    char *copy, *save = NULL;

    if (!env)
        return;
    copy = strdup(env);
    if (!copy)
        die("out of memory");
    for (char *s = strtok_r(copy, ",", &save); s;
         s = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(s, '='), *end = NULL;
        int64_t count, skip = 0;

        if (!eq)
            die("APPSCALE_ERRINJ: '%s' is not NAME=COUNT[@SKIP]", s);
        *eq = '\0';
        count = strtoll(eq + 1, &end, 10);
        if (*end == '@')
            skip = strtoll(end + 1, &end, 10);
        if (*end)
            die("APPSCALE_ERRINJ: '%s' has a bad count", s);
        errinj_set(s, count, skip);
    }
    free(copy);
}

void errinj_crash(const char *name)
{
    if (errinj(name))
        kill(getpid(), SIGKILL);
}
