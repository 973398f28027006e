# The features suite on the built-in backends, and on mutants of them that it must kill.
add_library(reco_features_suite OBJECT features_model.c features_suite.c features_suite_random.c features_suite_rules.c)
target_include_directories(reco_features_suite PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/tests) # not lib: it is installed as well
target_compile_definitions(reco_features_suite PRIVATE _GNU_SOURCE)
target_link_libraries(reco_features_suite PRIVATE PkgConfig::CHECK PkgConfig::XXHASH)
reco_warnings(reco_features_suite)
foreach(backend lmdb memory)
    reco_test(test_features_${backend} SOURCES test_features_${backend}.c $<TARGET_OBJECTS:reco_features_suite> LABELS contract TIMEOUT 600)
endforeach()

reco_test(test_features_door SOURCES test_features_door.c $<TARGET_OBJECTS:reco_features_suite> LABELS contract)

# reco_features_mutant(name file check FROM text TO text): lib/features/<file> with one piece of text changed, linked in front of the library. The
# named check must fail. The text must occur exactly once, so that a mutant cannot quietly stop being one.
function(reco_features_mutant name file check)
    cmake_parse_arguments(PARSE_ARGV 3 MUTANT "" "FROM;TO" "")
    set(source ${PROJECT_SOURCE_DIR}/lib/features/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(FIND "${text}" "${MUTANT_FROM}" first)
    string(FIND "${text}" "${MUTANT_FROM}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
        message(FATAL_ERROR "mutant ${name}: the text to change must be in lib/features/${file} exactly once: ${MUTANT_FROM}")
    endif()
    if(NOT RECO_BUILD_MUTANTS)
        return()
    endif()
    string(REPLACE "${MUTANT_FROM}" "${MUTANT_TO}" text "${text}")
    set(mutated ${CMAKE_CURRENT_BINARY_DIR}/features_mutant_${name}.c)
    file(CONFIGURE OUTPUT ${mutated} CONTENT "${text}" @ONLY)
    add_executable(features_mutant_${name} features_mutant.c ${mutated} $<TARGET_OBJECTS:reco_features_suite>)
    target_include_directories(features_mutant_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(features_mutant_${name} PRIVATE _GNU_SOURCE)
    target_compile_options(features_mutant_${name} PRIVATE -w)
    target_link_libraries(features_mutant_${name} PRIVATE reco_test_support reco_static PkgConfig::CHECK ${reco_dependencies})
    add_test(NAME features_mutant_${name} COMMAND features_mutant_${name} ${check})
    reco_test_properties(features_mutant_${name} "contract;mutant" 120)
endfunction()

reco_features_mutant(add_overwrites chunk.c adds_sum_up
    FROM "total = reco__sum_add(total, reco__zigzag_decode(value))"
    TO "(void)value")
reco_features_mutant(zero_sums_kept chunk.c zero_sums_vanish
    FROM "if (total != 0)"
    TO "if (total != 0 || count)")
reco_features_mutant(half_a_batch lmdb_state.c full_changes_nothing
    FROM "if (status == RECO_OK) {
        return reco__flmdb_commit(work, err);"
    TO "if (status == RECO_OK || status == RECO_FULL) {
        reco__flmdb_commit(work, err);
        return status;")
reco_features_mutant(stale_accepted lmdb_apply.c stale_changes_nothing
    FROM "position->offset != batch->from"
    TO "position->offset < batch->from - 1000")
reco_features_mutant(closed_accepted lmdb_apply.c closed_generations_refuse_adds
    FROM "groups[i].generation <= reco__flmdb_newest_closed(store, state, groups[i].board)"
    TO "groups[i].generation < 0")
reco_features_mutant(tie_by_number board.c ties_are_broken_by_name
    FROM "return hash_a != hash_b ? hash_a < hash_b : names->compare(names->context, a->member, b->member) < 0"
    TO "(void)hash_a, (void)hash_b; return a->member < b->member")
reco_features_mutant(cut_one_short lmdb_heads.c the_cut_keeps_exactly_n
    FROM "*count = reco_board_cut(store->row.data, before, store->rules.cut, 1, &names)"
    TO "*count = reco_board_cut(store->row.data, before, store->rules.cut - 1, 1, &names)")
reco_features_mutant(read_uncut lmdb_rows.c the_cut_keeps_exactly_n
    FROM "board == RECO_BOARD_COVIEW && generation <= newest_closed"
    TO "board == RECO_BOARD_COVIEW && generation < newest_closed")
reco_features_mutant(head_not_lowered lmdb_heads.c a_head_is_lowered
    FROM "*lost |= full && sum < old[i].sum"
    TO "*lost |= false")
reco_features_mutant(one_open_generation lmdb_heads.c heads_sum_open_generations
    FROM "open_count == 1 && draft->generations[open]"
    TO "open_count >= 1 && draft->generations[open]")
reco_features_mutant(weight_of_youth heads.c weights_follow_age
    FROM "open ? 0 : maker->closed_at - generation"
    TO "0")
reco_features_mutant(one_clock_closes lmdb_state.c closing_waits_for_all_partitions
    FROM "for (uint32_t p = 1; p < store->partitions; p++) {
        least"
    TO "for (uint32_t p = 1; p < 1; p++) {
        least")
reco_features_mutant(expiry_too_late board.c expiry_is_exact
    FROM "return generation <= newest_closed - (int64_t)"
    TO "return generation < newest_closed - (int64_t)")
reco_features_mutant(closing_too_early board.c the_cut_keeps_exactly_n
    FROM "return r_ms <= slack ? 0 : (r_ms - slack) /"
    TO "return r_ms < slack ? 0 : (r_ms - slack + 1) /")
reco_features_mutant(head_not_remade lmdb_heads.c closing_remakes_heads
    FROM "            take_closed(&draft, &made);"
    TO "            (void)made;")
reco_features_mutant(cell_by_another_clock lmdb_cells.c cells_live_by_their_partition
    FROM "if (cell.expires_at < work->state.positions[cell.partition].clock)"
    TO "if (cell.expires_at < newest_clock(work->store, &work->state))")
reco_features_mutant(intern_twice names.c intern_gives_a_number_once
    FROM "if (hash_at(names, number) == hash &&"
    TO "if (hash_at(names, number) != hash &&")
reco_features_mutant(epoch_ignored lmdb_apply.c stale_changes_nothing
    FROM "if (state->epoch != batch->epoch)"
    TO "if (state->epoch == 0)")
reco_features_mutant(restore_keeps_the_old lmdb_restore.c restore_replaces_everything
    FROM "for (bool done = false; status == RECO_OK && !done;)"
    TO "for (bool done = true; !done;)")
