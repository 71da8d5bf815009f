/* worker/io/address.c - see address.h. */
#include "worker/io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

void
address_print(const struct sockaddr_storage *a, char *to, size_t cap)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	bool six = a->ss_family == AF_INET6, four = a->ss_family == AF_INET;
	char ip[INET6_ADDRSTRLEN] = "?";

	if (six || four)
		inet_ntop(a->ss_family, six ? (const void *)&in6->sin6_addr :
		    (const void *)&in->sin_addr, ip, sizeof(ip));
	snprintf(to, cap, six ? "[%s]:%u" : "%s:%u", ip, !six && !four ? 0U :
	    ntohs(six ? in6->sin6_port : in->sin_port));
}
