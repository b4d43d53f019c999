/*
 * index_xml - the composite indexes of a Java application.
 *
 * A war keeps them in WEB-INF/datastore-indexes.xml, written by hand, and in
 * WEB-INF/appengine-generated/datastore-indexes-auto.xml, written by the
 * development server; the first one's autoGenerate says whether the second
 * counts.  Both become the text of the index.yaml that says the same, which is
 * what the rest of the platform reads.
 */
#ifndef CONFIG_INDEX_XML_H
#define CONFIG_INDEX_XML_H

#include "config/node.h"

#define INDEX_XML_MANUAL "WEB-INF/datastore-indexes.xml"
#define INDEX_XML_AUTO   "WEB-INF/appengine-generated/datastore-indexes-auto.xml"

struct index_xml {
    bool auto_generate;
    struct bytes yaml; /* an index.yaml with the same entries */
};

/*
 * Read and check the text of such a file, which messages call `file`.  The
 * `generated` one need not say autoGenerate.
 * ERR_INVALID with every finding, one a line, as FILE:LINE:COLUMN: reason.
 * Results live in the ctx's arena.
 */
int index_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    bool generated, struct index_xml *out);

/* As above; ERR_NOT_FOUND when there is no such file. */
int index_xml_load(struct ctx *ctx, const char *path, bool generated,
                   struct index_xml *out);

/*
 * Read what an application's folder has of the two files.  out->yaml holds the
 * entries of both, those of the second only with autoGenerate="true" or without
 * the first.  ERR_NOT_FOUND when there is neither.
 */
int index_xml_load_app(struct ctx *ctx, const char *dir, struct index_xml *out);

#endif
