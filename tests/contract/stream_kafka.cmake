if(TARGET reco_module_kafka)
    reco_test(test_stream_kafka SOURCES test_stream_kafka.c stream_suite.c stream_suite_random.c stream_model.c ../support/kafka_server.c
        $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA LABELS contract TIMEOUT 600)
    reco_test(test_stream_kafka_faults SOURCES test_stream_kafka_faults.c $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA
        LABELS fault)
endif()
# Through libreco.so and the module beside it: not by reco_test, which links the library statically.
if(TARGET reco-kafka)
    add_executable(test_stream_kafka_engine test_stream_kafka_engine.c ../support/support.c ../support/kafka_server.c)
    target_include_directories(test_stream_kafka_engine PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(test_stream_kafka_engine PRIVATE _GNU_SOURCE)
    target_link_libraries(test_stream_kafka_engine PRIVATE reco PkgConfig::CHECK PkgConfig::RDKAFKA)
    reco_warnings(test_stream_kafka_engine)
    add_dependencies(test_stream_kafka_engine reco-kafka)
    add_test(NAME test_stream_kafka_engine COMMAND test_stream_kafka_engine)
    reco_test_properties(test_stream_kafka_engine contract 300)
endif()
