# Sourced by up-kafka.sh, up-redis.sh and up-postgres.sh: servers in the background, one for each folder. FOLDER/up.pid names its process and
# FOLDER/up.url its address. The script defines `prefix` (for messages), `answers` (does it serve?) and `ending` (the signal that ends it in order).

die() {
    echo "$prefix: $1" >&2
    exit 1
}

# The comment at the top of the script.
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# When a process began, in ticks since boot: a number that is used again has another. Nothing when it has ended.
began() { sed -n '/) Z /!s/.*) //p' 2>/dev/null "/proc/$1/stat" | cut -d ' ' -f 20; }

# The process in FOLDER/up.pid, when it is still the one that was started.
running_pid() {
    local pid since
    read -r pid since 2>/dev/null <"$1/up.pid" || return 1
    [[ $pid =~ ^[0-9]+$ && $since =~ ^[0-9]+$ && $(began "$pid") == "$since" ]] && echo "$pid"
}

# Base 10, however it is written.
is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && [ $((10#$1)) -ge 1 ] && [ $((10#$1)) -le 65535 ]; }

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start_background FOLDER URL SECONDS COMMAND...: prints URL once it answers; the same folder again: its address.
start_background() {
    local folder=$1 url=$2 end=$((SECONDS + $3)) pid
    shift 3
    if running_pid "$folder" >/dev/null; then
        [[ $(<"$folder/up.url") == "${url%%:*}":* ]] || die "$folder is that of another server, $(<"$folder/up.url")"
        cat "$folder/up.url"
        return
    fi
    echo "$url" >"$folder/up.url"
    setsid "$@" </dev/null >"$folder/up.log" 2>&1 &
    pid=$!
    echo "$pid $(began "$pid")" >"$folder/up.pid"
    until answers; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
            stop_background "$folder"
            tail -n 20 "$folder/up.log" >&2
            die "it does not start"
        fi
        sleep 0.1
    done
    echo "$url"
}

stop_background() {
    local folder=$1 pid end=$((SECONDS + 40))
    if pid=$(running_pid "$folder"); then
        kill "-$ending" "$pid" 2>/dev/null || true
        while running_pid "$folder" >/dev/null; do
            if [ "$SECONDS" -ge "$end" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.05
        done
    fi
    rm -f "$folder/up.pid" "$folder/up.url"
}

show_status() {
    if running_pid "$1" >/dev/null; then
        cat "$1/up.url"
    else
        echo "it is not running"
        exit 3
    fi
}

# take_arguments PORT [start|stop|status] FOLDER [PORT]: sets `action` (run or start), `folder` and `port`; does what is stop, status or a question for help.
take_arguments() {
    port=$1 action=run
    shift
    case "${1:-}" in
    start | stop | status)
        action=$1
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    esac
    if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* || ! ${2:-1} =~ ^[0-9]+$ ]]; then
        usage >&2
        exit 2
    fi
    folder=$(realpath -m "$1") port=${2:-$port}
    is_port "$port" || die "port $port is not one of 1 to 65535"
    case "$action" in
    stop)
        stop_background "$folder"
        exit
        ;;
    status)
        show_status "$folder"
        exit
        ;;
    esac
}
