/* users_int - shared by the files of service/user only. */
#ifndef SERVICE_USER_USERS_INT_H
#define SERVICE_USER_USERS_INT_H

#include "service/user/lockout.h"
#include "service/user/users.h"

#include <sodium.h>

struct users {
    struct storage *storage;
    struct lockout *lockout;
    unsigned char key[crypto_auth_KEYBYTES];
    char dummy[crypto_pwhash_STRBYTES]; /* the hash of no account */
};

#endif
