# make install: headers, both libraries, libreco.pc; programs install themselves (reco_program).
install(TARGETS reco reco_static
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# The prefix is told from where libreco.pc lies, so that it is right wherever `cmake --install --prefix` puts it.
file(RELATIVE_PATH reco_pc_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" reco_pc_up "${reco_pc_up}")
set(reco_pc_prefix "\${pcfiledir}/${reco_pc_up}")
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
    set(reco_pc_prefix ${CMAKE_INSTALL_PREFIX})
endif()
configure_file(${PROJECT_SOURCE_DIR}/pkgconfig/libreco.pc.in ${PROJECT_BINARY_DIR}/libreco.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/libreco.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
# A program that was built comes with its page.
foreach(program reco-cli reco-ingest reco-api reco-processor reco-conformance)
    if(TARGET ${program})
        string(REPLACE reco-cli reco page ${program})
        install(FILES ${PROJECT_SOURCE_DIR}/docs/man/${page}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    endif()
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/reco.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
