# The features suite on redis:, against a server that the test starts itself; and what only a server can do: go away, refuse, be set up wrongly.
if(TARGET reco_module_redis)
    reco_test(test_features_redis SOURCES test_features_redis.c ${PROJECT_SOURCE_DIR}/tests/support/redis_server.c
        $<TARGET_OBJECTS:reco_features_suite> $<TARGET_OBJECTS:reco_module_redis> LIBRARIES PkgConfig::HIREDIS LABELS contract TIMEOUT 900)
    reco_test(test_features_redis_live SOURCES test_features_redis_live.c ${PROJECT_SOURCE_DIR}/tests/support/redis_server.c
        $<TARGET_OBJECTS:reco_features_suite> $<TARGET_OBJECTS:reco_module_redis> LIBRARIES PkgConfig::HIREDIS LABELS contract TIMEOUT 300)
    reco_test(test_features_redis_several SOURCES test_features_redis_several.c ${PROJECT_SOURCE_DIR}/tests/support/redis_server.c
        $<TARGET_OBJECTS:reco_features_suite> $<TARGET_OBJECTS:reco_module_redis> LIBRARIES PkgConfig::HIREDIS LABELS contract TIMEOUT 900)
endif()
