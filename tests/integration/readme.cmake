# What the documents say, held against the tree and its programs. Sanitizers of the library are those of the program that is compiled.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
reco_test_command(test_readme COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/test_readme.py LABELS integration TIMEOUT 300)
string(REPLACE ";" " " flags "${reco_sanitizers}")
set_property(TEST test_readme APPEND PROPERTY ENVIRONMENT "RECO_TEST_CC=${CMAKE_C_COMPILER}" "RECO_TEST_CFLAGS=${flags}")
reco_test_command(test_docs COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/test_docs.py LABELS integration)
reco_test_command(test_examples COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/test_examples.py LABELS integration)
