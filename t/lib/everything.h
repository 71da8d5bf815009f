/*
 * t/lib/everything.h - a message with a field of every type there is, which
 * can hold itself, as protobuf-c's generator would describe it. Our subset has
 * neither; the loader and the guard must know them all the same.
 *
 *   enum Colour { NONE = 0; RED = 1; GREEN = 2; DARK = -1; }
 *   message Everything {
 *     int32 i32 = 1 ... bytes raw = 15    one of each scalar, see everything.c
 *     Colour colour = 16; Everything child = 17;
 *     repeated sint64 many = 18; repeated Everything children = 19;
 *     repeated Colour colours = 20; repeated string words = 21;
 *     map<int32, string> names = 22; map<bool, Everything> by_bool = 23;
 *     oneof one_of { string text_one = 24; Everything child_one = 25;
 *                    bool bool_one = 26; }
 *     repeated bool flags = 27; repeated fixed32 fixed = 28;
 *   }
 */
#ifndef T_LIB_EVERYTHING_H
#define T_LIB_EVERYTHING_H

#include <protobuf-c/protobuf-c.h>

const ProtobufCMessageDescriptor *everything(void);

#endif
