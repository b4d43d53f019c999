/*
 * queue_xml - the task queues of a Java application.
 *
 * A war keeps them in WEB-INF/queue.xml.  They become the text of the
 * queue.yaml that says the same, which is what the rest of the platform reads.
 */
#ifndef CONFIG_QUEUE_XML_H
#define CONFIG_QUEUE_XML_H

#include "config/node.h"

#define QUEUE_XML "WEB-INF/queue.xml"

/*
 * Read and check the text of such a file, which messages call `file`.
 * ERR_INVALID with every finding, one a line, as FILE:LINE:COLUMN: reason.  The
 * YAML lives in the ctx's arena.
 */
int queue_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    struct bytes *yaml);

/* The file of an application's folder; ERR_NOT_FOUND when there is none. */
int queue_xml_load_app(struct ctx *ctx, const char *dir, struct bytes *yaml);

#endif
