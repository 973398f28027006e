# reco-conformance: the suites as a program for those who write backends, installed with libreco. It sees include/ and the suites, nothing of lib/.
add_executable(reco-conformance conformance.c records_suite.c stream_suite.c stream_suite_random.c stream_model.c ../support/support.c
    $<TARGET_OBJECTS:reco_features_suite>)
target_include_directories(reco-conformance PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(reco-conformance PRIVATE _GNU_SOURCE)
target_link_libraries(reco-conformance PRIVATE reco PkgConfig::CHECK PkgConfig::XXHASH Threads::Threads ${CMAKE_DL_LIBS})
reco_warnings(reco-conformance)
install(TARGETS reco-conformance RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
