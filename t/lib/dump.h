/*
 * t/lib/dump.h - any protobuf-c message as stable text, by its descriptor:
 * fields in order of number, unset ones left out, an Any unpacked in place.
 */
#ifndef T_LIB_DUMP_H
#define T_LIB_DUMP_H

#include <stdio.h>

#include "xds/load.h"

void	dump_message(FILE *out, struct load_arena *m,
	    const ProtobufCMessage *message);

#endif
