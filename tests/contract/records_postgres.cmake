if(TARGET reco_module_postgres)
    reco_test(test_records_postgres SOURCES test_records_postgres.c records_suite.c ${PROJECT_SOURCE_DIR}/tests/support/postgres_server.c
        ${PROJECT_SOURCE_DIR}/tests/support/postgres_sql.c $<TARGET_OBJECTS:reco_module_postgres> LIBRARIES PkgConfig::PQ LABELS contract TIMEOUT 300)
    reco_test(test_archive SOURCES test_archive.c ${PROJECT_SOURCE_DIR}/tests/support/postgres_server.c
        ${PROJECT_SOURCE_DIR}/tests/support/postgres_sql.c $<TARGET_OBJECTS:reco_module_postgres> LIBRARIES PkgConfig::PQ LABELS contract TIMEOUT 300)
endif()
