if(TARGET reco_module_kafka)
    reco_test(test_stream_kafka SOURCES test_stream_kafka.c stream_suite.c stream_suite_random.c stream_model.c ../support/kafka_server.c
        $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA LABELS contract TIMEOUT 600)
    reco_test(test_stream_kafka_faults SOURCES test_stream_kafka_faults.c $<TARGET_OBJECTS:reco_module_kafka> LIBRARIES PkgConfig::RDKAFKA
        LABELS fault)
endif()
