/* master/dns_question.c - what a cluster asks of a name, as text: see dns.h. */
#include <stdio.h>

#include "master/dns.h"

bool
dns_question_print(const struct dns_question *q, char *text, size_t text_len)
{
	int n = snprintf(text, text_len, "%s %u %u %u %u %u", q->name,
	    (unsigned)q->family, q->refresh_ms, (unsigned)q->respect_ttl,
	    q->failure_base_ms, q->failure_max_ms);

	return n > 0 && (size_t)n < text_len;
}

bool
dns_question_read(const char *text, struct dns_question *q,
    char host[DNS_HOST_MAX + 1])
{
	unsigned family, respect_ttl;

	*q = (struct dns_question){ .name = host };
	if (sscanf(text, "%253s %u %u %u %u %u", host, &family,
	    &q->refresh_ms, &respect_ttl, &q->failure_base_ms,
	    &q->failure_max_ms) != 6 || family > DNS_ALL)
		return false;
	q->family = (enum dns_family)family;
	q->respect_ttl = respect_ttl != 0;
	return true;
}
