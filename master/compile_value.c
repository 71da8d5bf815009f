/*
 * master/compile_value.c - a header's value with commands in it, taken apart
 * once here, so that a worker only joins parts.
 *
 *   "a%PROTOCOL% b%REQ(x-a?x-b):3%100%%"
 *    ─────┬─────  ───────┬─────── ─┬──
 *    TEXT "aHTTP/2 b"  HEADER   TEXT "100%"
 *
 * What is known here becomes text here: the protocol that callers speak, the
 * cluster that the plan is of. A command that is not known is refused with a
 * list of those that are. An absent header is no text, not "-".
 *
 * Source: Envoy's substitution commands ("Command Operators"), the part that
 * custom headers are used with. Test: t/unit/compile.c.
 */
#include "master/compile_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN "%%REQ(NAME?OTHER):LENGTH%%, " \
	"%%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%%, %%PROTOCOL%%, " \
	"%%UPSTREAM_CLUSTER%%, or %%%% for a percent sign"

/* %NAME(argument):length% */
struct command {
	const char	*name, *argument, *length;	/* NULL: not there */
	size_t		 name_len, argument_len, length_len, len;
};

/* False: it is not of that form. */
static bool
command_read(const char *text, struct command *cmd)
{
	const char *at = text + 1, *end;

	memset(cmd, 0, sizeof(*cmd));
	cmd->name = at;
	while (isupper((unsigned char)*at) || isdigit((unsigned char)*at) ||
	    *at == '_')
		at++;
	cmd->name_len = (size_t)(at - cmd->name);
	if (*at == '(') {
		if ((end = strchr(at, ')')) == NULL)
			return false;
		cmd->argument = at + 1;
		cmd->argument_len = (size_t)(end - cmd->argument);
		at = end + 1;
	}
	if (*at == ':') {
		cmd->length = at + 1;
		cmd->length_len = strspn(cmd->length, "0123456789");
		at = cmd->length + cmd->length_len;
	}
	cmd->len = (size_t)(at + 1 - text);
	return *at == '%' && cmd->name_len > 0;
}

static bool
is_command(const struct command *cmd, const char *name)
{
	return cmd->name_len == strlen(name) &&
	    memcmp(cmd->name, name, cmd->name_len) == 0;
}

/* The text so far is a part. */
static int
literal_end(struct compiler *c, struct plan_draft *d, char *text, size_t *n)
{
	struct block_part part = { .kind = PART_TEXT };

	if (*n == 0)
		return 0;
	if (draft_text(c, d, text, *n, &part.text) < 0)
		return -1;
	*n = 0;
	return draft_part(c, d, part);
}

/* ---- the commands */

/* A name as headers have it: lower case, and Host is :authority. */
static int
name_put(struct compiler *c, struct plan_draft *d, const char *s, size_t n,
    struct block_span *span)
{
	char *name = scratch(c, n + 1);
	size_t i;

	for (i = 0; name != NULL && i < n; i++)
		name[i] = (char)tolower((unsigned char)s[i]);
	if (name == NULL)
		return -1;
	return n == 4 && memcmp(name, "host", 4) == 0 ?
	    draft_text(c, d, ":authority", 10, span) :
	    draft_text(c, d, name, n, span);
}

static int
header_part(struct compiler *c, const struct at *at, struct plan_draft *d,
    const struct command *cmd)
{
	struct block_part part = { .kind = PART_HEADER,
	    .bytes_max = UINT32_MAX };
	const char *other = cmd->argument == NULL ? NULL :
	    memchr(cmd->argument, '?', cmd->argument_len);
	size_t len = other == NULL ? cmd->argument_len :
	    (size_t)(other - cmd->argument);

	if (len == 0 || (other != NULL && len + 1 == cmd->argument_len) ||
	    (cmd->length != NULL &&
	    (cmd->length_len == 0 || cmd->length_len > 6)))
		return refuse(c, at, "\"%.*s\" asks for no header, expected "
		    "%%REQ(NAME)%%, %%REQ(NAME?OTHER)%% or %%REQ(NAME):LENGTH%% "
		    "with at most six digits", (int)cmd->len, cmd->name - 1);
	if (cmd->length != NULL)
		part.bytes_max = (uint32_t)strtoul(cmd->length, NULL, 10);
	if (name_put(c, d, cmd->argument, len, &part.text) < 0 ||
	    (other != NULL && name_put(c, d, other + 1, cmd->argument_len -
	    len - 1, &part.other) < 0))
		return -1;
	return draft_part(c, d, part);
}

static int
address_part(struct compiler *c, struct plan_draft *d)
{
	d->plan.flags |= PLAN_ADDRESS;
	return draft_part(c, d, (struct block_part){ .kind = PART_ADDRESS });
}

static void
append(char *text, size_t *n, const char *more)
{
	memcpy(text + *n, more, strlen(more));
	*n += strlen(more);
}

/* Into text where it is known now, else into a part of its own. */
static int
command_compile(struct compiler *c, const struct at *at, struct plan_draft *d,
    const struct command *cmd, char *text, size_t *n)
{
	bool plain = cmd->argument == NULL && cmd->length == NULL;

	if (plain && is_command(cmd, "PROTOCOL"))
		append(text, n, "HTTP/2");
	else if (plain && is_command(cmd, "UPSTREAM_CLUSTER"))
		append(text, n, d->cluster);
	else if (plain && is_command(cmd,
	    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"))
		return literal_end(c, d, text, n) < 0 ? -1 :
		    address_part(c, d);
	else if (is_command(cmd, "REQ"))
		return literal_end(c, d, text, n) < 0 ? -1 :
		    header_part(c, at, d, cmd);
	else
		return refuse(c, at, "\"%.*s\" is not known, expected " KNOWN,
		    (int)cmd->len, cmd->name - 1);
	return 0;
}

/* What comes out at most before all is in parts: the commands that become
 * text are longer than eight bytes, and may become a cluster's name. */
static size_t
literal_max(const char *text, const struct plan_draft *d)
{
	return strlen(text) + (strlen(text) / sizeof("%PROTOCO") + 1) *
	    (strlen(d->cluster) + sizeof("HTTP/2"));
}

int
compile_value(struct compiler *c, const struct at *at, const char *text,
    struct plan_draft *d, struct block_mutation *m)
{
	char *literal = scratch(c, literal_max(text, d));
	struct command cmd;
	size_t n = 0;

	m->part = d->plan.parts_n;
	for (; literal != NULL && *text != '\0'; text++) {
		if (*text != '%') {
			literal[n++] = *text;
			continue;
		}
		if (text[1] == '%') {
			literal[n++] = *text++;
			continue;
		}
		if (!command_read(text, &cmd))
			return refuse(c, at, "\"%s\" is no command, expected "
			    KNOWN, text);
		if (command_compile(c, at, d, &cmd, literal, &n) < 0)
			return -1;
		text += cmd.len - 1;
	}
	if (literal == NULL || literal_end(c, d, literal, &n) < 0)
		return -1;
	m->parts_n = d->plan.parts_n - m->part;
	return 0;
}
