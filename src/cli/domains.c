/*
 * `appscale domains COMMAND` and `appscale certificates COMMAND`: names of an
 * application's own, and what proves them.
 */
#include "cli/hosting.h"
#include "cli/table.h"

#include "base/files.h"

#include <stdio.h>
#include <string.h>

enum { PEM_MAX = 1024 * 1024 };

/* The collection of a project, and one of it: its operand, or NULL. */
static int path_of(struct cli *cli, struct api *api, const char *collection,
                   const char *id, const char **out)
{
    const char *project;
    int rc = hosting_project(cli, api, &project);

    if (rc == 0)
        *out = arena_printf(&cli->arena, "/v1/apps/%s/%s%s%s",
                            api_escape(cli, project), collection, id ? "/" : "",
                            id ? api_escape(cli, id) : "");
    return rc;
}

/* ---- domains ---- */

static const char *certificate_text(struct arena *a, const json_t *d)
{
    const json_t *ssl = json_object_get(d, "sslSettings");
    const char *id = api_text(ssl, "certificateId", NULL);
    bool automatic =
        strcmp(api_text(ssl, "sslManagementType", ""), "AUTOMATIC") == 0;

    if (automatic)
        return id ? arena_printf(a, "%s, by itself", id) : "by itself";
    return id ? id : "the platform's own";
}

/* How its automatic certificate does. */
static const char *state_text(const json_t *d)
{
    const json_t *acme = json_object_get(d, "acme");

    return api_text(acme, "reason", api_text(acme, "state", ""));
}

static int domains_list(struct cli *cli)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    struct api *api = api_open(cli);
    json_t *answer = NULL;
    const json_t *list, *d;
    const char *path;
    size_t i;
    int rc = path_of(cli, api, "domainMappings", NULL, &path);

    if (rc == 0)
        rc = api_call(api, "GET", &answer, NULL, "%s", path);
    list = json_object_get(answer, "domainMappings");
    *t = (struct table){.a = &cli->arena,
                        .head = {"DOMAIN", "CERTIFICATE", "STATE"},
                        .columns = 3};
    json_array_foreach(list, i, d)
    {
        const char **cell;

        if (t->rows == TABLE_ROWS)
            break;
        cell = t->cell[t->rows++];
        cell[0] = api_text(d, "id", "?");
        cell[1] = certificate_text(t->a, d);
        cell[2] = api_safe(t->a, state_text(d));
    }
    if (rc == 0 && cli->json)
        cli_print_json(list);
    else if (rc == 0)
        table_print(cli, t);
    json_decref(answer);
    return rc;
}

static int domains_add(struct cli *cli)
{
    const char *path, *id = cli_operand(cli, 0);
    const char *certificate = cli_option(cli, "certificate");
    struct api *api = api_open(cli);
    json_t *ssl = json_object(), *response = NULL;
    int rc = path_of(cli, api, "domainMappings", NULL, &path);

    if (certificate)
        json_object_set_new(ssl, "certificateId", json_string(certificate));
    if (cli_switch(cli, "automatic"))
        json_object_set_new(ssl, "sslManagementType", json_string("AUTOMATIC"));
    if (rc == 0)
        rc = hosting_change(
            cli, api, "POST", path,
            json_pack("{s:s, s:O}", "id", id, "sslSettings", ssl), &response);
    if (rc == 0)
        hosting_done(cli, response,
                     "%s leads here; let its address in the DNS be this "
                     "machine's.",
                     id);
    json_decref(ssl);
    json_decref(response);
    return rc;
}

static int domains_remove(struct cli *cli)
{
    const char *path, *id = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    int rc = path_of(cli, api, "domainMappings", id, &path);

    if (rc == 0)
        rc = hosting_change(cli, api, "DELETE", path, NULL, NULL);
    if (rc == 0 && !cli->json)
        printf("%s leads to no application any more.\n", id);
    return rc;
}

/* ---- certificates ---- */

/* Both files of --certificate and --key as the API wants them. */
static int read_pair(struct cli *cli, json_t **out)
{
    const char *names[] = {cli_option(cli, "certificate"),
                           cli_option(cli, "key")};
    struct bytes text[2];
    int rc = 0;

    if (!names[0] || !names[1])
        return cli_usage(cli, "--certificate FILE and --key FILE are the "
                              "chain and its private key, both PEM");
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = files_read(&cli->ctx, names[i], PEM_MAX, &text[i]);
    if (rc == ERR_NOT_FOUND)
        return cli_usage(cli, "there is no file %s",
                         text[0].p ? names[1] : names[0]);
    if (rc == 0)
        *out =
            json_pack("{s:{s:s%, s:s%}}", "certificateRawData",
                      "publicCertificate", (const char *)text[0].p, text[0].n,
                      "privateKey", (const char *)text[1].p, text[1].n);
    return rc;
}

static int put_certificate(struct cli *cli, const char *method, const char *id,
                           const char *query, const char *sentence)
{
    const char *path, *name = cli_option(cli, "name");
    struct api *api = api_open(cli);
    json_t *body = NULL, *answer = NULL;
    int rc = read_pair(cli, &body);

    if (rc == 0)
        rc = path_of(cli, api, "authorizedCertificates", id, &path);
    if (rc == 0 && name)
        json_object_set_new(body, "displayName", json_string(name));
    if (rc == 0)
        rc = api_call(api, method, &answer, body, "%s%s", path, query);
    if (rc == ERR_INVALID)
        cli->exit = CLI_INVALID;
    if (rc == 0)
        hosting_done(
            cli, answer, "Certificate %s %s, and ends %s.",
            api_text(answer, "id", "?"), sentence,
            api_moment(&cli->arena, api_text(answer, "expireTime", NULL)));
    json_decref(body);
    json_decref(answer);
    return rc;
}

static int certificates_create(struct cli *cli)
{
    return put_certificate(cli, "POST", NULL, "",
                           "is there; `appscale domains add DOMAIN "
                           "--certificate ID` uses it");
}

static int certificates_update(struct cli *cli)
{
    return put_certificate(cli, "PATCH", cli_operand(cli, 0),
                           cli_option(cli, "name")
                               ? "?updateMask=certificateRawData,displayName"
                               : "?updateMask=certificateRawData",
                           "is in use");
}

/* "a.org, b.org" */
static const char *names_text(struct arena *a, const json_t *names)
{
    struct buf text = BUF_IN(a);
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
        buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(name));
    return text.n ? api_safe(a, buf_cstr(&text)) : "-";
}

static int certificates_list(struct cli *cli)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    struct api *api = api_open(cli);
    json_t *answer = NULL;
    const json_t *list, *c;
    const char *path;
    size_t i;
    int rc = path_of(cli, api, "authorizedCertificates", NULL, &path);

    if (rc == 0)
        rc = api_call(api, "GET", &answer, NULL, "%s", path);
    list = json_object_get(answer, "certificates");
    *t = (struct table){.a = &cli->arena,
                        .head = {"ID", "NAME", "DOMAINS", "ENDS (UTC)"},
                        .columns = 4};
    json_array_foreach(list, i, c)
    {
        const char **cell;

        if (t->rows == TABLE_ROWS)
            break;
        cell = t->cell[t->rows++];
        cell[0] = api_text(c, "id", "?");
        cell[1] = api_safe(t->a, api_text(c, "displayName", "-"));
        cell[2] = names_text(t->a, json_object_get(c, "domainNames"));
        cell[3] = api_moment(t->a, api_text(c, "expireTime", NULL));
    }
    if (rc == 0 && cli->json)
        cli_print_json(list);
    else if (rc == 0)
        table_print(cli, t);
    json_decref(answer);
    return rc;
}

static int one_certificate(struct cli *cli, const char *method, json_t **answer)
{
    struct api *api = api_open(cli);
    const char *path;
    int rc =
        path_of(cli, api, "authorizedCertificates", cli_operand(cli, 0), &path);

    if (rc == 0)
        rc = api_call(api, method, answer, NULL, "%s", path);
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale certificates list shows what there is";
    return rc;
}

static int certificates_describe(struct cli *cli)
{
    json_t *c = NULL;
    int rc = one_certificate(cli, "GET", &c);

    if (rc == 0)
        cli_print_json(c);
    json_decref(c);
    return rc;
}

static int certificates_delete(struct cli *cli)
{
    int rc = one_certificate(cli, "DELETE", NULL);

    if (rc == 0 && !cli->json)
        printf("Certificate %s is gone.\n", cli_operand(cli, 0));
    return rc;
}

/* ---- the tables ---- */

#define PROJECT                                                                \
    {                                                                          \
        "project", "ID", "the project; default: the only one", 0               \
    }

static const struct args_option project_options[] = {PROJECT, {0}};
static const struct args_option add_options[] = {
    PROJECT,
    {"certificate", "ID", "one of `appscale certificates list`", 0},
    {"automatic", NULL, "have one made and renewed (setting acme_directory)",
     0},
    {0},
};
static const struct args_option pair_options[] = {
    PROJECT,
    {"certificate", "FILE", "the certificate and those behind it, PEM", 0},
    {"key", "FILE", "its private key, PEM, without a password", 0},
    {"name", "TEXT", "what people call it", 0},
    {0},
};

const struct cli_command cli_domains_commands[] = {
    {
        .name = "list",
        .operands = "",
        .sentence = "Show the domains of a project",
        .options = project_options,
        .run = domains_list,
    },
    {
        .name = "add",
        .operands = "DOMAIN",
        .sentence = "Let a domain lead to a project",
        .help = "The domain itself means the default service; \"*.DOMAIN\" "
                "makes the names below it\nmean services. Without a "
                "certificate browsers see the platform's own.",
        .options = add_options,
        .run = domains_add,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "remove",
        .operands = "DOMAIN",
        .sentence = "Let a domain lead nowhere",
        .options = project_options,
        .run = domains_remove,
        .min_operands = 1,
        .max_operands = 1,
    },
    {.name = NULL},
};

const struct cli_command cli_certificates_commands[] = {
    {
        .name = "list",
        .operands = "",
        .sentence = "Show the certificates of a project",
        .options = project_options,
        .run = certificates_list,
    },
    {
        .name = "describe",
        .operands = "ID",
        .sentence = "Show all about a certificate, as JSON",
        .options = project_options,
        .run = certificates_describe,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "create",
        .operands = "",
        .sentence = "Bring a certificate",
        .help = "It is checked - key, chain, dates - and the key is never "
                "shown again.",
        .options = pair_options,
        .run = certificates_create,
    },
    {
        .name = "update",
        .operands = "ID",
        .sentence = "Put a newer certificate in the place of one",
        .help = "Domains that use it change over without losing a request.",
        .options = pair_options,
        .run = certificates_update,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "delete",
        .operands = "ID",
        .sentence = "Delete a certificate that no domain uses",
        .options = project_options,
        .run = certificates_delete,
        .min_operands = 1,
        .max_operands = 1,
    },
    {.name = NULL},
};
