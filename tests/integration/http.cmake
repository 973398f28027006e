# The services and the command line, driven from outside by the Python standard library.
find_package(Python3 COMPONENTS Interpreter QUIET)
if(Python3_Interpreter_FOUND AND TARGET reco-cli)
    foreach(subject http_services cli patience)
        reco_test_command(test_${subject} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/${subject}.py LABELS integration TIMEOUT 600)
    endforeach()
endif()
