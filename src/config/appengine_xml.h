/*
 * appengine_xml - the application of a Java war, where it has no app.yaml.
 *
 * WEB-INF/appengine-web.xml says in XML what app.yaml says: its elements become
 * the nodes of an app.yaml, where they stand in the XML, and the schema of
 * app.yaml checks them; static-files becomes handlers.  A war is the
 * application's folder itself, or src/main/webapp of a Maven project.
 *
 * Google's servlet runtime reads the file again by itself, so what concerns it
 * alone (system-properties, url-stream-handler, sessions-enabled) is known here
 * and left to it.
 */
#ifndef CONFIG_APPENGINE_XML_H
#define CONFIG_APPENGINE_XML_H

#include "config/appyaml.h"

#define APPENGINE_XML "WEB-INF/appengine-web.xml"

/*
 * The folder of `dir` that holds WEB-INF, as a path: `dir` itself, or its
 * src/main/webapp; NULL when there is none.
 */
const char *appengine_xml_war(struct arena *a, const char *dir);

/*
 * Read and check WEB-INF/appengine-web.xml of the application in `dir`.
 * ERR_NOT_FOUND when there is no such file; ERR_INVALID with every finding, one
 * a line, as FILE:LINE:COLUMN: reason.
 */
int appengine_xml_load(struct ctx *ctx, const char *dir, struct appyaml *out);

/*
 * As above from memory.  `file` is what messages say; `war` is the war's folder
 * in the application's: "", or one that ends with a slash.
 */
int appengine_xml_parse(struct ctx *ctx, const char *file, const char *war,
                        struct bytes text, struct appyaml *out);

#endif
