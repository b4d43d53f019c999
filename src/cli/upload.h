/*
 * upload - an archive to the controller, as little of it as will do.
 *
 * What is there already is not sent.  Of a large archive the controller is
 * asked which members (base/members.h) the last one of the service lacks, and
 * those travel alone, to be joined there; when that does not work out the whole
 * one is sent.  An upload that was cut goes on where it stopped.
 */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include "cli/api.h"
#include "cli/archive.h"

struct upload {
    struct api *api;
    struct cli *cli;
    struct progress *progress;
    const char *project, *service;
    const struct archive *archive;
    int64_t sent; /* out: bytes that travelled */
};

/* Errors as those of api_call(), ERR_IO. */
int upload_archive(struct upload *u);

#endif
