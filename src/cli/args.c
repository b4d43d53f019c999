/*
 * args - one pass over argv: each word is an option of one of the tables, the
 * value of the last one, or an operand.
 */
#include "cli/args.h"

#include <inttypes.h>
#include <stdlib.h>

struct parse {
    struct ctx *ctx;
    const struct args_option *const *tables;
    struct args *out;
    char **argv;
    int argc, at;
};

static const struct args_option *find_name(const struct parse *p,
                                           struct bytes name)
{
    for (const struct args_option *const *t = p->tables; *t; t++) {
        for (const struct args_option *o = *t; o->name; o++) {
            if (bytes_eq_str(name, o->name))
                return o;
        }
    }
    return NULL;
}

static const struct args_option *find_letter(const struct parse *p, char letter)
{
    for (const struct args_option *const *t = p->tables; *t; t++) {
        for (const struct args_option *o = *t; o->name; o++) {
            if (o->letter == letter)
                return o;
        }
    }
    return NULL;
}

static int add(struct parse *p, const struct args_option *o, const char *value)
{
    if (p->out->n_given == ARGS_MAX)
        return ctx_err(p->ctx, ERR_INVALID, "too many options");
    p->out->given[p->out->n_given].option = o;
    p->out->given[p->out->n_given++].value = value;
    return 0;
}

/* An option whose value, if it takes one, is `inlined` or the next word. */
static int take(struct parse *p, const struct args_option *o,
                const char *inlined)
{
    if (!o->value && inlined)
        return ctx_err(p->ctx, ERR_INVALID, "--%s takes no value", o->name);
    if (!o->value)
        return add(p, o, "");
    if (!inlined && ++p->at == p->argc)
        return ctx_err(p->ctx, ERR_INVALID, "--%s needs a value: --%s %s",
                       o->name, o->name, o->value);
    return add(p, o, inlined ? inlined : p->argv[p->at]);
}

static int take_long(struct parse *p, const char *word)
{
    const char *equals = strchr(word, '=');
    struct bytes name =
        equals ? BYTES(word, (size_t)(equals - word)) : bytes_str(word);
    const struct args_option *o = find_name(p, name);

    if (!o)
        return ctx_err(p->ctx, ERR_INVALID, "unknown option --%.*s",
                       BYTES_FMT(name));
    return take(p, o, equals ? equals + 1 : NULL);
}

static int take_letters(struct parse *p, const char *word)
{
    int rc = 0;

    for (; *word && rc == 0; word++) {
        const struct args_option *o = find_letter(p, *word);

        if (!o)
            return ctx_err(p->ctx, ERR_INVALID, "unknown option -%c", *word);
        if (o->value)
            return take(p, o, word[1] ? word + 1 : NULL);
        rc = take(p, o, NULL);
    }
    return rc;
}

static int take_operand(struct parse *p, const char *word)
{
    if (p->out->n_operands == ARGS_MAX)
        return ctx_err(p->ctx, ERR_INVALID, "too many arguments");
    p->out->operands[p->out->n_operands++] = word;
    return 0;
}

int args_parse(struct ctx *ctx, const struct args_option *const *tables,
               int argc, char **argv, struct args *out)
{
    struct parse p = {
        .ctx = ctx, .tables = tables, .out = out, .argv = argv, .argc = argc};
    bool options = true;
    int rc = 0;

    *out = (struct args){.n_given = 0};
    for (; rc == 0 && p.at < argc; p.at++) {
        const char *word = argv[p.at];

        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && strncmp(word, "--", 2) == 0)
            rc = take_long(&p, word + 2);
        else if (options && *word == '-' && word[1])
            rc = take_letters(&p, word + 1);
        else
            rc = take_operand(&p, word);
    }
    return rc;
}

const char *args_value(const struct args *args, const char *name)
{
    for (int i = args->n_given; i-- > 0;) {
        if (strcmp(args->given[i].option->name, name) == 0)
            return args->given[i].value;
    }
    return NULL;
}

int args_number(struct ctx *ctx, const struct args *args, const char *name,
                int64_t min, int64_t max, int64_t otherwise, int64_t *out)
{
    const char *text = args_value(args, name);
    char *end;

    *out = otherwise;
    if (!text)
        return 0;
    *out = strtoll(text, &end, 10);
    if (!*text || *end || *out < min || *out > max)
        return ctx_err(ctx, ERR_INVALID,
                       "--%s is \"%s\" and must be a number from %" PRId64
                       " to %" PRId64,
                       name, text, min, max);
    return 0;
}
