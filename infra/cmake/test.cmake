# reco_test(name SOURCES a.c ... [LIBRARIES lib ...] [LABELS unit|contract|concurrency|fault|integration|fuzz|abi|bench|smoke ...] [TIMEOUT seconds]
#           [ARGS ...] [NO_RUN])
# A test program on libreco.a (internals visible), check and the helpers of tests/support, registered with ctest unless NO_RUN (benches).
# Exit status 77 means skipped; the program then prints the reason.
function(reco_test name)
    cmake_parse_arguments(TEST "NO_RUN" "TIMEOUT" "SOURCES;LIBRARIES;LABELS;ARGS" ${ARGN})
    add_executable(${name} ${TEST_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(${name} PRIVATE ${TEST_LIBRARIES})
    if(NOT name STREQUAL "reco_test_support" AND TARGET reco_test_support)
        target_link_libraries(${name} PRIVATE reco_test_support)
    endif()
    target_link_libraries(${name} PRIVATE reco_static PkgConfig::CHECK)
    reco_warnings(${name})
    if(TEST_NO_RUN)
        return()
    endif()
    add_test(NAME ${name} COMMAND ${name} ${TEST_ARGS})
    reco_test_properties(${name} "${TEST_LABELS}" "${TEST_TIMEOUT}")
endfunction()

# reco_test_command(name COMMAND ... [LABELS ...] [TIMEOUT s]): a test that is a script.
function(reco_test_command name)
    cmake_parse_arguments(TEST "" "TIMEOUT" "COMMAND;LABELS" ${ARGN})
    add_test(NAME ${name} COMMAND ${TEST_COMMAND})
    reco_test_properties(${name} "${TEST_LABELS}" "${TEST_TIMEOUT}")
endfunction()

set(RECO_TIMEOUT_FACTOR 1 CACHE STRING "Factor on the time limits of tests, for sanitizers and long runs")

# What all tests share. Check's own limit of 4 seconds a test is raised to ctest's: sanitizers are slow.
function(reco_test_properties name labels timeout)
    if(NOT timeout)
        set(timeout 180)
    endif()
    math(EXPR timeout "${timeout} * ${RECO_TIMEOUT_FACTOR}")
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} SKIP_RETURN_CODE 77 ENVIRONMENT
        "CK_DEFAULT_TIMEOUT=${timeout};RECO_BUILD_DIR=${PROJECT_BINARY_DIR};RECO_SOURCE_DIR=${PROJECT_SOURCE_DIR};UBSAN_OPTIONS=print_stacktrace=1")
endfunction()
