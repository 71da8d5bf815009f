/*
 * xds/ems/intent.h - one intent: a document of YAML or JSON as a message, all
 * of it checked that can be checked without the others.
 *
 *   "service: a\nowner: b"  ──intent_read──>  SERVICE "a", its message
 *
 * Names are what goes into the names of xDS resources and into YAML of ours:
 * 1..128 letters, digits and ._-, so that nothing need be escaped anywhere. The
 * messages are xds/proto/godwit/ems/intent.proto; the REST and gRPC doors have
 * the same. Test: t/unit/intent.c.
 */
#ifndef XDS_EMS_INTENT_H
#define XDS_EMS_INTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum intent_noun {
#define NOUN(id, noun, message) INTENT_##id,
#include "xds/ems/noun.def"
#undef NOUN
	INTENT_NOUNS
};

enum { INTENT_NAME_MAX = 128, INTENT_BYTES_MAX = 1 << 20 };

struct intent {
	enum intent_noun noun;
	const char	*name;
	const void	*message;	/* Godwit__Ems__V1__...; of the arena */
	struct load_arena *arena;
	uint64_t	 number;	/* in a model: of its putting there */
};

const char *intent_word(enum intent_noun noun);
/* All of them, "region, gateway, ...". */
const char *intent_words(void);
/* -1: no noun of ours. */
int	intent_noun_find(const char *word);
bool	intent_name_is_good(const char *name);

/* NULL: why, "file:line:col: path: what is wrong, what was expected". */
struct intent *intent_read(const char *text, size_t n, const char *file,
	    char *why, size_t why_len);
void	intent_free(struct intent *i);

/* "10.0.0.1:8443", "[::1]:8443": the host without brackets, and the port. */
bool	intent_address(const char *text, char *host, size_t host_len,
	    unsigned *port);

#endif
