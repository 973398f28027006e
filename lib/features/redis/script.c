/* script.c - the functions that run inside Redis: replacing what was seen, when it is still there, and giving numbers to names.
 *
 * Rows only ever grow at their end, and only `switch` and `compact` replace their beginning. `compact` compares the beginning byte by byte. `switch`
 * puts heads and rows of items, each item at once: the head carries a random version that changes with each switch, so that an unchanged version
 * means that no row of the item was replaced since, and a row's length then tells what of it was seen. What was appended meanwhile is kept behind
 * what is put; the item stays on the list of those whose head is not current. While everything is being read (scan.c) no row is replaced.
 *
 * `intern` adds names at the end of their list when the list is as long as the caller knows it: the numbers are then the caller's to tell.
 *
 * The name of the library carries its version: another version of libreco has its own. */
#include "features/redis/redis.h"

static const char text[] = "#!lua name=reco3\n"
                           /* keys: meta, dirty, generations, scan, then for each item its head and rows; args: epoch, how many items, then for each
                              version, head, item, closed, open generations, rows, {seen, put}. Answers 1 for an item that is done, else 0. */
                           "local function switch(keys, args)\n"
                           "  if redis.call('GETRANGE', keys[1], '8', '15') ~= args[1] then return -1 end\n"
                           "  local scan, open, done, gone, k, a = redis.call('EXISTS', keys[4]) == 1, {}, {}, {}, 5, 3\n"
                           "  for n = 1, tonumber(args[2]) do\n"
                           "    local head, closed, rows, sizes, tail = keys[k], args[a + 3], tonumber(args[a + 5]), {}, false\n"
                           "    if not open[closed] then open[closed] = redis.call('ZCOUNT', keys[3], '(' .. closed, '+inf') end\n"
                           "    local good = open[closed] == tonumber(args[a + 4]) and redis.call('GETRANGE', head, '0', '7') == args[a]\n"
                           "    for i = 1, good and rows or 0 do\n"
                           "      local size, seen = redis.call('STRLEN', keys[k + i]), tonumber(args[a + 4 + 2 * i])\n"
                           "      if size < seen or (scan and args[a + 5 + 2 * i] ~= '=') then good = false break end\n"
                           "      if size > seen then tail = true end\n"
                           "      sizes[i] = size\n"
                           "    end\n"
                           "    for i = 1, good and rows or 0 do\n"
                           "      local row, seen, put = keys[k + i], tonumber(args[a + 4 + 2 * i]), args[a + 5 + 2 * i]\n"
                           "      if put ~= '=' then\n"
                           "        put = string.sub(put, 2)\n"
                           "        if sizes[i] > seen then put = put .. redis.call('GETRANGE', row, seen, -1) end\n"
                           "        if put == '' then redis.call('DEL', row) else redis.call('SET', row, put) end\n"
                           "      end\n"
                           "    end\n"
                           "    if good then redis.call('SET', head, args[a + 1]) end\n"
                           "    if good and not tail then gone[#gone + 1] = args[a + 2] end\n"
                           "    done[n], k, a = good and 1 or 0, k + 1 + rows, a + 6 + 2 * rows\n"
                           "  end\n"
                           "  if #gone > 0 then redis.call('SREM', keys[2], unpack(gone)) end\n"
                           "  return done\n"
                           "end\n"
                           "local function compact(keys, args)\n" /* keys: row, scan; args: seen, put */
                           "  if redis.call('EXISTS', keys[2]) == 1 then return 0 end\n"
                           "  if redis.call('GETRANGE', keys[1], 0, #args[1] - 1) ~= args[1] then return 0 end\n"
                           "  local put = args[2] .. redis.call('GETRANGE', keys[1], #args[1], -1)\n"
                           "  if put == '' then redis.call('DEL', keys[1]) else redis.call('SET', keys[1], put) end\n"
                           "  return 1\n"
                           "end\n"
                           "local function intern(keys, args)\n" /* keys: meta, names; args: names epoch, how many are known, new names */
                           "  if redis.call('GETRANGE', keys[1], '16', '23') ~= args[1] then return 0 end\n"
                           "  if redis.call('LLEN', keys[2]) ~= tonumber(args[2]) then return 0 end\n"
                           "  for i = 3, #args, 1000 do redis.call('RPUSH', keys[2], unpack(args, i, math.min(i + 999, #args))) end\n"
                           "  return 1\n"
                           "end\n"
                           "redis.register_function('" RECO__REDIS_INTERN "', intern)\n"
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
