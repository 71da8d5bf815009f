# t/lib/layers.awk - who may include whom, and where each library lives.
#
#   awk -f t/lib/layers.awk FILE...     from the top of the tree
#
#            master/        everything but t/
#               |
#            worker/        worker/io/  shm/  conf/conf.h
#           /   |   \
#  xds/ems/     |    \      xds/  conf/  worker/io/  shm/ clock log counters
#      |   worker/io/ |     shm/ clock log counters
#      |  /     |     |
#     xds/      |     |     conf/yaml.h
#      |        |     |
#    conf/     shm/ --'     nothing of ours
#
# The first column of may[] is a room, the second a pattern of what it may
# include besides itself. A new library is one line of home[].
#
# It also holds files to 800 lines and functions to 100, and a .c to including
# its own header first. Each breach is one line "file:line: what"; exit 1.
# The table's source is the design; the test is t/lib/layers-test.

BEGIN {
	counters = "count\\.(def|h)|row\\.h|stat\\.h"
	shared = "^shm/(clock\\.h|log\\.h|" counters ")$"

	may["shm"] = may["conf"] = "^$"
	may["xds"] = "^conf/yaml\\.h$"
	may["xds/ems"] = "^(xds|conf|worker/io)/[^/]*$|" shared
	may["worker/io"] = shared
	may["worker"] = "^(worker/io|shm)/[^/]*$|^conf/conf\\.h$"
	may["master"] = may["master/ctl"] = \
	    "^(shm|conf|xds|xds/ems|worker|worker/io|master)/[^/]*$"
	may["t"] = "."

	home["yaml.h"] = home["jansson.h"] = "^conf/yaml\\.c$"
	home["nghttp2/"] = "^worker/io/h2[^/]*$"
	home["openssl/"] = "^worker/io/tls[^/]*$"
	home["protobuf-c/"] = home["pb-c"] = "^xds/|^master/compile[^/]*$"
	home["xxhash.h"] = "^master/|^xds/"
	home["ares.h"] = "^master/dns\\.c$"
	home["stdatomic.h"] = home["sys/mman.h"] = "^shm/"
	home["sys/inotify.h"] = "^master/watch\\.c$"
	home["sqlite3.h"] = "^xds/ems/store_sqlite[^/]*$"
	home["microhttpd.h"] = "^xds/ems/rest[^/]*$"
	home["pthread.h"] = "^xds/ems/store\\.c$"
	home["sys/epoll.h"] = "^worker/io/sys\\.c$"
	home["sys/wait.h"] = "^master/keeper\\.c$|" \
	    "^master/checkpoint_writer\\.c$"

	lines_max = 800
	function_max = 100
}

function breach(line, what)
{
	printf "%s:%d: %s\n", FILENAME, line, what
	breaches++
}

# The deepest folder of path that has rules of its own.
function room_of(path)
{
	while (sub(/\/[^\/]*$/, "", path))
		if (path in may)
			return path
	return ""
}

# "" where an include needs no library's home.
function library_of(name,    l)
{
	if (name ~ /\.pb-c\.h$/)
		return "pb-c"
	for (l in home)
		if (name == l || (l ~ /\/$/ && index(name, l) == 1))
			return l
	return ""
}

function check_library(name,    l)
{
	l = library_of(name)
	if (l != "" && room != "t" && FILENAME !~ home[l])
		breach(FNR, name " belongs in " readable(home[l]))
}

function readable(pattern)
{
	gsub(/[\\^$]/, "", pattern)
	gsub(/\[\/\]\*/, "*", pattern)
	gsub(/\|/, " or ", pattern)
	return pattern
}

function check_own(name,    other)
{
	if (name == "config.h" || name ~ /\.pb-c\.h$/)
		return
	other = room_of(name)
	if (name !~ /\//)
		breach(FNR, "\"" name "\": write it as \"folder/file\"")
	else if (other == "t" && room != "t")
		breach(FNR, room "/ includes " name ": nothing includes t/")
	else if (other != room && name !~ may[room])
		breach(FNR, room "/ may not include " name)
}

function file_begins()
{
	room = room_of(FILENAME)
	if (room == "")
		breach(1, "in no room that layers.awk knows")
	own = FILENAME
	first = sub(/\.c$/, ".h", own) && (getline ignored < own) >= 0
	close(own)
	body = 0
}

function file_ends()
{
	if (file_lines > lines_max)
		printf "%s:%d: %d lines; %d at most: split it by direction " \
		    "and phase\n", file, file_lines, file_lines, lines_max
	breaches += file_lines > lines_max
}

FNR == 1 {
	file_ends()
	file_begins()
	file = FILENAME
}

{ file_lines = FNR }

/^[ \t]*#[ \t]*include[ \t]*["<]/ && room != "" {
	split($0, part, /["<>]/)
	check_library(part[2])
	if ($0 ~ /include[ \t]*"/) {
		if (first && part[2] != own)
			breach(FNR, own " comes first: each .c proves that " \
			    "its header stands alone")
		check_own(part[2])
	} else if (first)
		breach(FNR, own " comes first: each .c proves that its " \
		    "header stands alone")
	first = 0
}

/^\{/ { body = FNR }

/^\}/ && body {
	if (FNR - body - 1 > function_max)
		breach(body, "a function of " FNR - body - 1 " lines; " \
		    function_max " at most")
	body = 0
}

END {
	file_ends()
	exit breaches > 0
}
