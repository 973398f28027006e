/* script.c - the two functions that run inside Redis: replacing what was seen, when it is still there.
 *
 * Rows only ever grow at their end, and only `switch` and `compact` replace their beginning. `compact` compares the beginning byte by byte. `switch`
 * puts an item's head and rows at once: the head carries a random version that changes with each switch, so that an unchanged version means that no
 * row of the item was replaced since, and a row's length then tells what of it was seen. What was appended meanwhile is kept behind what is put; the
 * item stays on the list of those whose head is not current. While everything is
 * being read (scan.c) no row is replaced. The name of the library carries its version: another version of libreco has its own. */
#include "features/redis/redis.h"

static const char text[] = "#!lua name=reco2\n"
                           "local function switch(keys, args)\n" /* keys: meta, head, dirty, generations, scan, rows; args: epoch, version,
                                                                    head, item, closed, count, {seen, put} */
                           "  if redis.call('GETRANGE', keys[1], 8, 15) ~= args[1] then return -1 end\n"
                           "  if redis.call('GETRANGE', keys[2], 0, 7) ~= args[2] then return 0 end\n"
                           "  if redis.call('ZCOUNT', keys[4], '(' .. args[5], '+inf') ~= tonumber(args[6]) then return 0 end\n"
                           "  local sizes, tail, scan = {}, false, redis.call('EXISTS', keys[5]) == 1\n"
                           "  for i = 6, #keys do\n"
                           "    local size, seen = redis.call('STRLEN', keys[i]), tonumber(args[2 * i - 5])\n"
                           "    if size < seen or (scan and args[2 * i - 4] ~= '=') then return 0 end\n"
                           "    if size > seen then tail = true end\n"
                           "    sizes[i] = size\n"
                           "  end\n"
                           "  for i = 6, #keys do\n"
                           "    local seen, put = tonumber(args[2 * i - 5]), args[2 * i - 4]\n"
                           "    if put ~= '=' then\n"
                           "      put = string.sub(put, 2)\n"
                           "      if sizes[i] > seen then put = put .. redis.call('GETRANGE', keys[i], seen, -1) end\n"
                           "      if put == '' then redis.call('DEL', keys[i]) else redis.call('SET', keys[i], put) end\n"
                           "    end\n"
                           "  end\n"
                           "  redis.call('SET', keys[2], args[3])\n"
                           "  if not tail then redis.call('SREM', keys[3], args[4]) end\n"
                           "  return 1\n"
                           "end\n"
                           "local function compact(keys, args)\n" /* keys: row, scan; args: seen, put */
                           "  if redis.call('EXISTS', keys[2]) == 1 then return 0 end\n"
                           "  if redis.call('GETRANGE', keys[1], 0, #args[1] - 1) ~= args[1] then return 0 end\n"
                           "  local put = args[2] .. redis.call('GETRANGE', keys[1], #args[1], -1)\n"
                           "  if put == '' then redis.call('DEL', keys[1]) else redis.call('SET', keys[1], put) end\n"
                           "  return 1\n"
                           "end\n"
                           "redis.register_function('" RECO__REDIS_SWITCH "', switch)\n"
                           "redis.register_function('" RECO__REDIS_COMPACT "', compact)\n";

reco_status reco__redis_script_load(reco__redis_link *link, reco_error *err) {
    reco__redis_command(link, "FUNCTION", 4);
    reco__redis_text(link, "LOAD");
    reco__redis_text(link, "REPLACE");
    reco__redis_text(link, text);
    reco_status status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_skip(link, 1, err) : status;
}
