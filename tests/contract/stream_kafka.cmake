# Not under ThreadSanitizer: librdkafka starts its threads by thrd_create, which gcc's runtime does not know of; the first function it does know that
# is called in such a thread ends the process.
if(TARGET reco_module_kafka AND NOT RECO_SANITIZE STREQUAL "thread")
    reco_test(test_stream_kafka SOURCES test_stream_kafka.c stream_suite.c stream_suite_random.c stream_model.c ../support/kafka_server.c
        $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA LABELS contract TIMEOUT 600)
    reco_test(test_stream_kafka_faults SOURCES test_stream_kafka_faults.c $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA
        LABELS fault)
endif()
# Through libreco.so and the module beside it: not by reco_test, which links the library statically. The second waits for sessions of six seconds to
# end, which sanitizers need not do again.
set(names)
if(TARGET reco-kafka AND NOT RECO_SANITIZE STREQUAL "thread")
    list(APPEND names test_stream_kafka_engine)
endif()
if(TARGET reco-kafka AND NOT RECO_SANITIZE)
    list(APPEND names test_stream_kafka_members)
endif()
foreach(name ${names})
    add_executable(${name} ${name}.c ../support/support.c ../support/kafka_server.c)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(${name} PRIVATE reco PkgConfig::CHECK PkgConfig::RDKAFKA)
    reco_warnings(${name})
    add_dependencies(${name} reco-kafka)
    add_test(NAME ${name} COMMAND ${name})
    reco_test_properties(${name} contract 300)
endforeach()
