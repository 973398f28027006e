# The services and the command line, driven from outside by the Python standard library.
find_package(Python3 COMPONENTS Interpreter QUIET)
if(Python3_Interpreter_FOUND AND TARGET reco-cli)
    add_executable(list_routes list_routes.c)
    target_link_libraries(list_routes PRIVATE reco_service_ingest reco_service_api)
    reco_warnings(list_routes)
    if(NOT RECO_SANITIZE) # whose runtime has to come first
        add_library(test_world MODULE world.c)
        set_target_properties(test_world PROPERTIES C_VISIBILITY_PRESET default)
        target_compile_definitions(test_world PRIVATE _GNU_SOURCE)
        reco_warnings(test_world)
    endif()
    foreach(subject http_services http_exchange http_connections http_bad_input http_fuzz openapi cli cli_bad_input formats patience evaluate whatif bench top)
        reco_test_command(test_${subject} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/${subject}.py LABELS integration TIMEOUT 600)
    endforeach()
    if(NOT RECO_SANITIZE) # it takes a while, and what it sends is mild beside http_fuzz
        reco_test_command(test_http_schemathesis COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/http_schemathesis.py LABELS integration TIMEOUT 900)
        foreach(subject console console_a11y) # a browser beside the servers: what they do is tried with sanitizers above
            reco_test_command(test_${subject} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/${subject}.py LABELS integration TIMEOUT 300)
        endforeach()
    endif()
endif()
